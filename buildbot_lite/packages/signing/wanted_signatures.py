"""
The signatures that a package and an index need, and the places where they are stored.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import file_digest, sha256

from attrs import frozen

from ...errors import InputError
from ..keys.openpgp import armored_signature
from ..keys.signature_ids import id_of
from ..keys.verification import TargetKey
from ..keys.wanted_file import WantedFile
from ..records.results import JobResults, ResultFile
from .release_signature import in_release, text_to_sign
from .rpm_signature import header_to_sign

LARGEST_INDEX = 1 << 20
"""Bytes of a Release or repomd.xml."""
RELEASE = "Release"


@frozen
class ToSign(WantedFile):
    """
    A wanted signature at the farm.  *contents*: returns the bytes to be signed.
    """

    contents: Callable[[], bytes]


def of_package(results: JobResults, file: ResultFile) -> ToSign:
    """
    The signature that the RPM package *file* needs.
    """
    path = results.path(file)
    header = _header(path, file.name)
    return ToSign(
        id_of(header, text=False),
        file.name,
        os.path.getsize(path),
        file.sha256,
        len(header),
        text=False,
        contents=partial(_header, path, file.name),
    )


def of_index(name: str, contents: bytes) -> Sequence[ToSign]:
    """
    The signatures that the index *name*, a ``Release`` or ``repomd.xml``, with *contents* needs.
    """
    if len(contents) > LARGEST_INDEX:
        raise InputError(f"{name} has {len(contents)} bytes; at most {LARGEST_INDEX} are signed.")
    wanted = [(contents, False), *([(text_to_sign(contents), True)] if name == RELEASE else [])]
    digest = sha256(contents).hexdigest()
    return [
        ToSign(id_of(data, text=text), name, len(contents), digest, len(data), text=text, contents=partial(bytes, data))
        for data, text in wanted
    ]


def checked_files(name: str, contents: bytes, signatures: Mapping[str, bytes], key: TargetKey) -> Mapping[str, bytes]:
    """
    The signature files for the index *name*, by name, made from its *signatures* (by id).  Each signature is checked
    with *key*.
    """
    files = {}
    for each in of_index(name, contents):
        signature = signatures.get(each.id)
        if signature is None:
            raise InputError(f"A signature of {name} is missing.")
        checked = key.check_signature(each.contents(), signature, name)
        if each.text:
            files["InRelease"] = in_release(contents, checked)
            if key.check_signed_text(files["InRelease"], "InRelease").removesuffix(b"\n") != each.contents():
                raise InputError(f"The signature of {name} is of another text.")
        else:
            files["Release.gpg" if name == RELEASE else f"{name}.asc"] = armored_signature(checked.data)
    return files


def digest_of(results: JobResults) -> str:
    """
    A digest of the packages in *results*.  It differs when the job was built again with other packages.
    """
    lines = sorted(f"{file.architecture}/{file.name} {file.sha256}\n" for file in results.packages)
    return sha256("".join(lines).encode()).hexdigest()


def digest_of_file(path: str) -> str:
    """
    SHA-256 of the file *path*, in hexadecimal.
    """
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def is_signed_itself(file: ResultFile) -> bool:
    """
    Whether packages like *file* are signed themselves; those of Debian are listed in a signed index.
    """
    return file.name.endswith(".rpm")


def _header(path: str, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return header_to_sign(file)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
