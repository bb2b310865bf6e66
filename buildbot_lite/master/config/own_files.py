"""
The files of one configuration: master.cfg, and the modules of its own that it imports.

`modules` says which modules are a configuration's own.  To have all texts from the start, `Sources` reads the modules
in all import statements of each text, also those inside functions, and all modules of each package.  A module with a
computed name is read when it is imported, if that happens during the load.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder

from ...errors import ConfigError
from .executed_line import MAIN_FILE
from .source_texts import imported_modules

MOST_FILES = 500
LARGEST_FILES = 16 << 20

_OWN_SECRETS = "secrets_beside_master_cfg"
"""The name in ``sys.modules`` of a module ``secrets`` beside master.cfg, which the standard library has, too."""


def _directories_of(path: Sequence[str]) -> list[str]:
    return [os.path.abspath(directory) for directory in path]


_INSTALLED = frozenset(_directories_of(sys.path)) - frozenset(
    _directories_of(os.environ.get("PYTHONPATH", "").split(os.pathsep))
)
_INSTALLED_NAMES = {"site-packages", "dist-packages"}


class Sources:
    """
    The texts of a configuration: file name → text, ``master.cfg`` first.  The names of files in *basedir* are relative
    to it, other names are absolute.

    *reading*: whether further files may be read from the disk.
    """

    def __init__(self, basedir: str, texts: Mapping[str, str], *, reading: bool) -> None:
        self.basedir = basedir
        self.texts: dict[str, str] = {}
        self.reading = reading
        self._size = 0
        for file, text in texts.items():
            self._keep(file, text)

    def module_file(self, name: str, directories: Sequence[str] | None = None) -> str | None:
        """
        The file of the module *name* ("a.b"), or None if the configuration has no such module.

        *directories*: the directories of its package; None: it is in no package.
        """
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        name = name.replace(_OWN_SECRETS, "secrets")
        for file in self._candidates(name, directories, ("/__init__.py", ".py")):
            if file in self.texts or (self.reading and self._read(file)):
                return file
        return None

    def directories_of(self, name: str, directories: Sequence[str] | None = None) -> list[str]:
        """
        The directories of the package *name*, which has no ``__init__.py``; empty if it is not the configuration's own.
        """
        if name.partition(".")[0] in sys.stdlib_module_names:
            return []
        return [
            os.path.join(self.basedir, file)
            for file in self._candidates(name, directories, ("",))
            if any(known.startswith(f"{file}/") for known in self.texts)
            or (self.reading and os.path.isdir(os.path.join(self.basedir, file)))
        ]

    def refuse_later(self, name: str) -> None:
        """
        Raise `ModuleNotFoundError` if the module *name* is in a directory of the configuration, but was not read during
        the load.  (Python itself would find it, because that directory is on its path.)
        """
        if not self.reading and any(
            os.path.exists(os.path.join(self.basedir, file))
            for file in self._candidates(name, None, (".py", "/__init__.py"))
        ):
            raise ModuleNotFoundError(f"{name} was not part of the configuration when it was loaded.", name=name)

    def own_name(self, name: str) -> str:
        """
        The name in ``sys.modules`` of the module that the configuration imports as *name*.

        They differ for a module ``secrets``, in which old configurations keep their passwords: the standard library has
        a module of that name since Python 3.6.
        """
        head, dot, remainder = name.partition(".")
        own = head == "secrets" and self.module_file(_OWN_SECRETS) is not None
        return f"{_OWN_SECRETS}{dot}{remainder}" if own else name

    def complete(self) -> None:
        """
        Read the modules that the texts import and that were not imported yet, with the current ``sys.path``.
        """
        imported: set[str] = set()
        while remaining := self.texts.keys() - imported:
            for file in sorted(remaining):
                imported.add(file)
                names = imported_modules(self.texts[file], relative=file == MAIN_FILE)
                for name in map(self.own_name, names):
                    # A module that is loaded already is not the configuration's own.
                    if name not in sys.modules:
                        self.module_file(name)

    def _candidates(self, name: str, directories: Sequence[str] | None, endings: Sequence[str]) -> Iterator[str]:
        if directories is None:
            directories, tail = self._roots(name.partition(".")[0]), name.replace(".", "/")
        else:
            tail = name.rpartition(".")[2]
        for directory in directories:
            for ending in endings:
                yield self._name(os.path.join(directory, tail) + ending)

    def _roots(self, name: str) -> list[str]:
        """
        The directories in which a module *name* is the configuration's own: that of master.cfg, and those on
        ``sys.path`` before the first directory in which the module is installed.
        """
        roots, installed = [self.basedir], list[str]()
        for directory in dict.fromkeys(_directories_of(sys.path)):
            if _is_installed(directory):
                installed.append(directory)
            elif directory != self.basedir and not (installed and PathFinder.find_spec(name, installed)):
                roots.append(directory)
        return roots

    def _name(self, path: str) -> str:
        inside = os.path.join(self.basedir, "")
        return path.removeprefix(inside)

    def _read(self, file: str) -> bool:
        try:
            with open(os.path.join(self.basedir, file), "rb") as opened:
                contents = opened.read(LARGEST_FILES + 1)
        except OSError:
            return False
        self._keep(file, importlib.util.decode_source(contents))
        return True

    def _keep(self, file: str, text: str) -> None:
        self._size += len(text)
        if len(self.texts) >= MOST_FILES or self._size > LARGEST_FILES:
            raise ConfigError(
                f"master.cfg imports more than {MOST_FILES} files of its own, or {LARGEST_FILES >> 20} MiB."
            )
        self.texts[file] = text
        if self.reading and file.endswith("/__init__.py"):
            self._read_package(os.path.dirname(file))

    def _read_package(self, package: str) -> None:
        for directory, below, files in os.walk(os.path.join(self.basedir, package)):
            below[:] = sorted(name for name in below if name.isidentifier())
            for name in sorted(files):
                file = self._name(os.path.join(directory, name))
                if name.endswith(".py") and file not in self.texts:
                    self._read(file)


def _is_installed(directory: str) -> bool:
    return directory in _INSTALLED or not _INSTALLED_NAMES.isdisjoint(directory.split(os.sep))
