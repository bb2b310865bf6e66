"""
Source packages for tests: a small Debian source package, made here, and a small source RPM.
"""

import gzip
import hashlib
import io
import lzma
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}
TINY_SRPM = (Path(__file__).parent / "data" / "tiny-1.0-3.src.rpm").read_bytes()
"""Made by ``rpmbuild -bs`` from tiny.spec, beside it: epoch 2, ExclusiveArch and ExcludeArch."""


def dsc(files: Mapping[str, bytes], **fields: str) -> bytes:
    """
    A .dsc that lists *files*.  *fields*: fields that differ from those of greet 1.0, with "_" for "-"; "" leaves a
    field out.
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


def deb(fields: Mapping[str, str], compression: str = "xz", others: Mapping[str, bytes] | None = None) -> bytes:
    """
    A .deb whose control file has *fields*.  *compression*: of its control part, "" for none.  *others*: further
    members, or other contents of some.
    """
    text = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
    control = _COMPRESS[compression](archive({"./control": text}))
    members = {
        "debian-binary": b"2.0\n",
        f"control.tar{compression and '.'}{compression}": control,
        "data.tar": archive({"./usr/bin/greet": b"#!/bin/sh\necho hello\n"}),
        **(others or {}),
    }
    return b"!<arch>\n" + b"".join(ar_member(name, data) for name, data in members.items())


def ar_member(name: str, data: bytes) -> bytes:
    """
    A member of an archive of ar(5).
    """
    header = f"{name:<16}{'1795000000':<12}{'0':<6}{'0':<6}{'100644':<8}{len(data):<10}`\n"
    return header.encode() + data + b"\n" * (len(data) % 2)


def control_list(files: Mapping[str, bytes], **fields: str) -> bytes:
    """
    A .changes or .buildinfo of greet 1.0 that lists *files*; *fields* as for `dsc`.
    """
    return dsc(files, **{"Architecture": "amd64", "Format": "1.8", **fields})
