"""
What apt reads: ``Packages`` of each architecture, and ``Release`` (deb-version(7), sources.list(5), Debian's
DebianRepository/Format).

::

    pool/NAME_VERSION_ARCH.deb
    dists/SUITE/Release                                      signed: InRelease, or Release.gpg
    dists/SUITE/main/binary-ARCH/Packages{,.gz}
    dists/SUITE/main/binary-ARCH/by-hash/SHA256/DIGEST       the same as Packages.gz, also those of earlier snapshots

apt-ftparchive reads only the new packages.  The descriptions of the others are copied from the snapshot before, because
a package file never changes.
"""

import gzip
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from threading import Event

from ...child_programs import ProgramError
from ...errors import InputError
from ...storage.files import write_whole
from ..formats.deb_file import read_deb
from ..formats.debian_architectures import ALL
from .metadata import Making
from .snapshots import PUBLIC_FILE, make_public_directory
from .tools import blamed, output_of_tool

_ALL_PACKAGES = "Packages"
_NEW = "new"
_NO_OTHER_DIGESTS = ("MD5", "SHA1", "SHA512")


class DebianMetadata:
    """
    Metadata for apt.  *name*: of the suite, and the origin, which a pin can name.  *architectures*: without "all";
    packages for all architectures are in the index of each one.
    """

    directory = "pool"

    def __init__(self, name: str, architectures: Sequence[str]) -> None:
        self._name = name
        self._architectures = tuple(each for each in architectures if each != ALL)
        self._suite = f"dists/{name}"
        self.to_sign = (f"{self._suite}/Release",)
        self.signatures = (f"{self._suite}/InRelease", f"{self._suite}/Release.gpg")

    def version(self, path: str) -> str:
        return deb_version(path)

    def make(self, making: Making) -> Sequence[str]:
        stanzas = {**self._of_before(making), **self._of_new(making)}
        missing = [name for name in making.packages if name not in stanzas]
        if missing:
            raise ProgramError(f"The index of the repository lacks {missing[0]}.")
        ordered = [(name, stanzas[name]) for name in sorted(making.packages)]
        _write(os.path.join(making.state, _ALL_PACKAGES), _joined(stanza for _, stanza in ordered))
        lasting = []
        for architecture in self._architectures:
            endings = (f"_{architecture}.deb", f"_{ALL}.deb")
            index = _joined(stanza for name, stanza in ordered if name.endswith(endings))
            lasting.append(self._write_index(making.tree, architecture, index))
        self._write_release(making.tree, making.unwanted)
        return lasting

    def _of_before(self, making: Making) -> dict[str, bytes]:
        if making.before is None:
            return {}
        with open(os.path.join(making.before, _ALL_PACKAGES), "rb") as file:
            return _stanzas(file.read())

    def _of_new(self, making: Making) -> dict[str, bytes]:
        """
        The descriptions of the new packages by apt-ftparchive, by file name.
        """
        if not making.new:
            return {}
        try:
            found = self._described(making, making.new)
        except ProgramError as error:
            read = partial(self._described, making)
            raise blamed(error, making.new, read, making.state, making.unwanted) from None
        for name in making.new:
            # For a file that is no package, apt-ftparchive prints nothing and succeeds.
            if name not in found:
                raise InputError(f"{name} is no package of Debian, or damaged.")
            self._check(name, found[name], os.path.join(making.tree, self.directory, name))
            if _value(found[name], "SHA256") != making.packages[name].sha256:
                raise ProgramError(f"{name} has changed while it was read.")
        return found

    def _described(self, making: Making, names: Sequence[str]) -> dict[str, bytes]:
        """
        The descriptions of the packages *names* by apt-ftparchive, by file name.
        """
        alone = os.path.join(making.state, _NEW)
        os.makedirs(os.path.join(alone, self.directory))
        try:
            for name in names:
                os.link(os.path.join(making.tree, self.directory, name), os.path.join(alone, self.directory, name))
            words = ["apt-ftparchive", "--quiet", *_options("Packages"), "packages", self.directory]
            return _stanzas(output_of_tool(words, alone, "The packages could not be described", making.unwanted))
        finally:
            shutil.rmtree(alone)

    def _check(self, name: str, stanza: bytes, path: str) -> None:
        package, version, architecture = (_value(stanza, each) for each in ("Package", "Version", "Architecture"))
        if name != f"{package}_{version.partition(':')[2] or version}_{architecture}.deb":
            raise InputError(f"{name} is the package {package} {version} for {architecture}, so its name is wrong.")
        with open(path, "rb") as file:
            read = read_deb(file, name)
        if (package, version, architecture) != tuple(read.get(each) for each in ("package", "version", "architecture")):
            raise InputError(f"{name} is another package for apt-ftparchive than for the farm: {package} {version}.")
        if architecture not in (*self._architectures, ALL):
            raise InputError(f"{name} is for {architecture}, for which the repository has no index.")

    def _write_index(self, tree: str, architecture: str, index: bytes) -> str:
        directory = f"{self._suite}/main/binary-{architecture}"
        place = os.path.join(tree, directory)
        make_public_directory(place)
        _write(os.path.join(place, "Packages"), index)
        packed = gzip.compress(index, compresslevel=6, mtime=0)
        _write(os.path.join(place, "Packages.gz"), packed)
        unique = f"{directory}/by-hash/SHA256/{hashlib.sha256(packed).hexdigest()}"
        make_public_directory(os.path.dirname(os.path.join(tree, unique)))
        os.link(os.path.join(place, "Packages.gz"), os.path.join(tree, unique))
        return unique

    def _write_release(self, tree: str, unwanted: Event) -> None:
        fields = {
            "Origin": self._name,
            "Label": self._name,
            "Suite": self._name,
            "Codename": self._name,
            "Architectures": " ".join(self._architectures),
            "Components": "main",
            "Acquire-By-Hash": "yes",
        }
        given = [word for name, value in fields.items() for word in ("-o", f"APT::FTPArchive::Release::{name}={value}")]
        words = ["apt-ftparchive", "--quiet", *given, *_options("Release"), "release", self._suite]
        release = output_of_tool(words, tree, "The Release file could not be made", unwanted)
        _write(os.path.join(tree, self._suite, "Release"), release)


def deb_version(path: str) -> str:
    """
    The version of the package of Debian *path*, with its epoch.  `InputError` when it is no package.
    """
    with open(path, "rb") as file:
        return read_deb(file, os.path.basename(path)).get("version", "")


def pin(name: str, replaces: Sequence[str] = ()) -> str:
    """
    A file for apt_preferences(5).  With it, apt takes a package from the repository *name* only if no other repository
    has a package of that name; but the packages in *replaces* (names and shell patterns) win over all others.
    """
    # Below 500, the priority of the distribution, so that apt takes the distribution's version even if it is earlier.
    wins = f"Package: {' '.join(replaces)}\nPin: release o={name}\nPin-Priority: 1001\n\n" if replaces else ""
    return f"{wins}Package: *\nPin: release o={name}\nPin-Priority: 100\n"


def _options(index: str) -> list[str]:
    # Only SHA-256: apt uses the strongest digest that Release lists, and by-hash has files for this one only.
    return [word for digest in _NO_OTHER_DIGESTS for word in ("-o", f"APT::FTPArchive::{index}::{digest}=no")]


def _stanzas(text: bytes) -> dict[str, bytes]:
    stanzas = [each for each in text.split(b"\n\n") if each.strip()]
    return {os.path.basename(_value(each, "Filename")): each.strip(b"\n") for each in stanzas}


def _joined(stanzas: Iterable[bytes]) -> bytes:
    return b"".join(stanza + b"\n\n" for stanza in stanzas)


def _value(stanza: bytes, field: str) -> str:
    beginning = f"{field}: ".encode()
    for line in stanza.split(b"\n"):
        if line.startswith(beginning):
            return line[len(beginning) :].decode("utf-8", "replace").strip()
    return ""


def _write(path: str, contents: bytes) -> None:
    write_whole(path, contents, mode=PUBLIC_FILE)
