"""
The modules of one configuration, apart from all others.

A master.cfg imports modules that lie beside it, and after a `reconfig` imports them again as they are then, while
builds that began before go on with what was.  So each loaded configuration has modules of its own:

- their text is kept (`Sources.texts`), and they are executed from there; loading an old configuration reads no file;
- they are in ``sys.modules`` only while code of the configuration executes an import, and never meet those of another.

To know all texts from the start, `Sources` reads what the import statements of each text name, also those inside of
functions, and of a package all modules.  A module imported by a computed name is read when it is imported, if that
happens while the configuration is loaded.

Modules of the standard library and installed ones are not touched; those are the same for all configurations.
"""

import ast
import builtins
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from ..errors import ConfigError
from .mistakes import MAIN_FILE

MAIN_MODULE = "__master_cfg__"
MOST_FILES = 500
LARGEST_FILES = 16 << 20


class Sources:
    """
    The texts of a configuration: file name relative to *basedir* → text, ``master.cfg`` first.

    *reading*: whether others may be read from the directory; without it, *texts* is all there is.
    """

    def __init__(self, basedir: str, texts: Mapping[str, str], *, reading: bool) -> None:
        self.basedir = basedir
        self.texts: dict[str, str] = {}
        self.reading = reading
        self._size = 0
        for file, text in texts.items():
            self._keep(file, text)

    def module_file(self, name: str) -> str | None:
        """
        The file that holds the module *name* ("a.b"), or None if that is not one of ours.
        """
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return None
        path = name.replace(".", "/")
        for file in (f"{path}/__init__.py", f"{path}.py"):
            if file in self.texts or (self.reading and self._read(file)):
                return file
        return None

    def refuse_later(self, name: str) -> None:
        """
        Raise `ModuleNotFoundError` if *name* lies beside master.cfg, and was not there or not read when it counted.

        (Python would find it by itself, because twistd puts its working directory on the path.)
        """
        path = os.path.join(self.basedir, name.replace(".", "/"))
        if not self.reading and any(map(os.path.exists, (f"{path}.py", f"{path}/__init__.py"))):
            raise ModuleNotFoundError(f"{name} is no part of the configuration as it was loaded.", name=name)

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
                f"master.cfg imports more than {MOST_FILES} files, or {LARGEST_FILES >> 20} MiB, beside it."
            )
        self.texts[file] = text
        if not self.reading:
            return
        if file.endswith("/__init__.py"):
            self._read_package(os.path.dirname(file))
        for name in _imported(text):
            # What is loaded already and is not ours will be found there, not beside master.cfg.
            if name not in sys.modules:
                self.module_file(name)

    def _read_package(self, package: str) -> None:
        for directory, below, files in os.walk(os.path.join(self.basedir, package)):
            below[:] = sorted(name for name in below if name.isidentifier())
            for name in sorted(files):
                file = os.path.relpath(os.path.join(directory, name), self.basedir)
                if name.endswith(".py") and file not in self.texts:
                    self._read(file)


def _imported(text: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []  # whoever executes it will say so, with the line
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module.partition(".")[0])
    return sorted(set(names))


class Modules(MetaPathFinder, Loader):
    """
    The modules made of some *sources*.

    *files* maps the file names in their code objects to the names that people know; it grows with each import.
    """

    def __init__(self, sources: Sources, label: str) -> None:
        self._sources = sources
        self._label = label
        self._modules: dict[str, ModuleType] = {}
        self._depth = 0
        self._builtins = {**vars(builtins), "__import__": self._import}
        self.files: dict[str, str] = {}

    def execute_main(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """
        Execute master.cfg; answer the names that it defined.
        """
        main = ModuleType(MAIN_MODULE)
        main.__file__ = os.path.join(self._sources.basedir, MAIN_FILE)
        vars(main).update(namespace)
        self._modules[MAIN_MODULE] = main
        with self._installed():
            self._execute(main, MAIN_FILE)
        return vars(main)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """
        For the import system: where a module of ours is.
        """
        file = self._sources.module_file(fullname)
        if file is None:
            self._sources.refuse_later(fullname)
            return None
        spec = ModuleSpec(fullname, self, origin=os.path.join(self._sources.basedir, file))
        spec.has_location = True
        if file.endswith("/__init__.py"):
            spec.submodule_search_locations = [os.path.dirname(spec.origin or "")]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """
        For the import system: an ordinary module will do.
        """
        return None

    def exec_module(self, module: ModuleType) -> None:
        """
        For the import system: execute a module of ours.
        """
        file = self._sources.module_file(module.__name__)
        if file is None:
            raise ImportError(f"{module.__name__} is not there any more.", name=module.__name__)
        self._modules[module.__name__] = module
        try:
            self._execute(module, file)
        except BaseException:
            del self._modules[module.__name__]
            raise

    def _execute(self, module: ModuleType, file: str) -> None:
        vars(module)["__builtins__"] = self._builtins
        exec(self._compiled(file), vars(module))  # noqa: S102 - a configuration is a program

    def _compiled(self, file: str) -> CodeType:
        name = os.path.join(self._label, file)
        self.files[name] = file
        return compile(self._sources.texts[file], name, "exec", dont_inherit=True)

    def _import(self, *args: Any, **kwargs: Any) -> Any:
        # What our code calls for ``import``, now or when one of its functions runs, years later.
        with self._installed():
            return builtins.__import__(*args, **kwargs)

    @contextmanager
    def _installed(self) -> Iterator[None]:
        if self._depth:
            yield
            return
        self._depth += 1
        before = {name: sys.modules[name] for name in self._modules if name in sys.modules}
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            for name, module in list(self._modules.items()):
                if sys.modules.get(name) is module:
                    del sys.modules[name]
            sys.modules.update(before)
            self._depth -= 1
