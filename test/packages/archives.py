"""
Source packages for tests: a small Debian one that is made here, and a small source RPM.
"""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

TINY_SRPM = (Path(__file__).parent / "data" / "tiny-1.0-3.src.rpm").read_bytes()
"""Made by ``rpmbuild -bs`` from tiny.spec, beside it: epoch 2, ExclusiveArch and ExcludeArch."""


def dsc(files: Mapping[str, bytes], **fields: str) -> bytes:
    """
    A .dsc that lists *files*.  *fields*: others than those of greet 1.0, with "_" for "-"; "" leaves one out.
    """
    listed = "".join(f"\n {hashlib.sha256(data).hexdigest()} {len(data)} {name}" for name, data in files.items())
    all_fields = {
        "Format": "3.0 (native)",
        "Source": "greet",
        "Binary": "greet",
        "Architecture": "any",
        "Version": "1.0",
        "Maintainer": "Farm <farm@example.org>",
        "Checksums-Sha256": listed,
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return "".join(f"{name}: {value}\n" for name, value in all_fields.items() if value).encode()


def archive(files: Mapping[str, bytes]) -> bytes:
    """
    A tar archive of *files*.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def greet(**fields: str) -> dict[str, bytes]:
    """
    The files of a Debian source package, greet 1.0; *fields* as for `dsc`.
    """
    files = {"greet_1.0.tar.xz": b"the sources"}
    return {"greet_1.0.dsc": dsc(files, **fields), **files}
