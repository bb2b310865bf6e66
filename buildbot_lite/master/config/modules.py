"""
The modules of one configuration, isolated from those of all others.

A master.cfg imports modules of its own.  A `reconfig` imports their current versions, while builds that began earlier
continue with the old ones.  So each loaded configuration has its own modules:

- they are executed from the texts in `Sources.texts`; loading an old configuration reads no file;
- they are in ``sys.modules`` only while code of the configuration executes an import;
- meanwhile ``sys.path`` is the configuration's; no other configuration sees what master.cfg adds to it.

**Its own modules** are those beside master.cfg, and those in directories that master.cfg or PYTHONPATH put on
``sys.path``.  Installed modules (the standard library, site-packages, and other directories on Python's path when the
master started) are the same for all configurations, and change only with a restart of the master.
"""

import builtins
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType
from typing import Any

from .buildbot_paths import AliasModule, alias_of, is_alias
from .executed_line import MAIN_FILE, handled_here
from .mistakes import loading, note
from .own_files import Sources
from .placeholders import missing_name, placeholder

MAIN_MODULE = "__master_cfg__"


class _Builtins(dict[str, Any]):
    """
    The built-in names of a configuration, in which Python looks up names that are defined nowhere else.
    """

    def __missing__(self, name: str) -> Any:
        return missing_name(name)


class Modules(MetaPathFinder, Loader):
    """
    Finds and executes the modules of *sources*.

    *label*: the beginning of file names in code objects.  *files*: file name in code objects → file name in sentences;
    each import adds to it.
    """

    def __init__(self, sources: Sources, label: str) -> None:
        self._sources = sources
        self._label = label
        self._modules: dict[str, ModuleType] = {}
        self._depth = 0
        self._path = list(sys.path)
        self._builtins = _Builtins(vars(builtins), __import__=self._import)
        self.files: dict[str, str] = {}

    def execute_main(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """
        Execute master.cfg in *namespace*; return its global names.
        """
        main = ModuleType(MAIN_MODULE)
        main.__file__ = os.path.join(self._sources.basedir, MAIN_FILE)
        vars(main).update(namespace)
        self._modules[MAIN_MODULE] = main
        with self._installed():
            self._execute(main, MAIN_FILE)
            if self._sources.reading:
                self._sources.complete()
        return vars(main)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """
        The spec of a module of the configuration; None for any other (`MetaPathFinder`).
        """
        package = fullname.rpartition(".")[0]
        if package and package not in self._modules:
            return None  # in an installed package
        file = self._sources.module_file(fullname, path if package else None)
        if file is None:
            if is_alias(fullname):
                return ModuleSpec(fullname, self, is_package=True)
            return self._namespace(fullname, path if package else None)
        spec = ModuleSpec(fullname, self, origin=os.path.join(self._sources.basedir, file))
        spec.has_location = True
        spec.loader_state = file
        if file.endswith("/__init__.py"):
            spec.submodule_search_locations = [os.path.dirname(spec.origin or "")]
        return spec

    def _namespace(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """
        The spec of a namespace package (PEP 420: without ``__init__.py``) with modules of the configuration; None if
        there is an ordinary module of that name.
        """
        self._sources.refuse_later(fullname)
        directories = self._sources.directories_of(fullname, path)
        if not directories:
            return None
        module_spec = PathFinder.find_spec(fullname, path)
        if module_spec is not None and module_spec.loader is not None and module_spec.origin is not None:
            return None  # an ordinary module, further down the path
        spec = ModuleSpec(fullname, self, is_package=True)
        spec.submodule_search_locations = directories
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """
        An alias, for a path of Buildbot; or None, for which the import system makes an ordinary module (`Loader`).
        """
        return AliasModule(spec.name) if spec.loader_state is None and is_alias(spec.name) else None

    def exec_module(self, module: ModuleType) -> None:
        """
        Execute a module of the configuration (`Loader`).
        """
        self._modules[module.__name__] = module
        spec = module.__spec__
        if spec is None or spec.loader_state is None:
            return  # an alias, or a package without __init__.py: there is nothing to execute
        try:
            self._execute(module, spec.loader_state)
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

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - its name in Python
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        # The ``__import__`` of the configuration's code, also of its functions that run after the load.
        if level == 1 and (globals or {}).get("__name__") == MAIN_MODULE:
            return self._import_from_beside(name, fromlist or ())
        with self._installed():
            module = name if level else self._sources.own_name(alias_of(name, fromlist or ()))
            try:
                return builtins.__import__(module, globals, locals, fromlist or (), level)
            except ModuleNotFoundError as error:
                if not loading() or handled_here(ImportError):
                    raise
                note(f"{error}.")
                return placeholder(name)

    def _import_from_beside(self, name: str, fromlist: Sequence[str]) -> Any:
        # In Python 2, ``from .tokens import *`` in a master.cfg, which is in no package, is an absolute import.
        if name:
            return self._import(name, fromlist=fromlist)
        beside = ModuleType(MAIN_MODULE)
        for each in fromlist:
            setattr(beside, each, self._import(each))
        return beside

    @contextmanager
    def _installed(self) -> Iterator[None]:
        if self._depth:
            yield
            return
        self._depth += 1
        before = {name: sys.modules[name] for name in self._modules if name in sys.modules}
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self)
        path, outside = sys.path, list(sys.path)
        path[:] = self._path
        try:
            yield
        finally:
            # The configuration may have replaced the list ``sys.path``.
            self._path = list(sys.path)
            sys.path = path
            path[:] = outside
            sys.meta_path.remove(self)
            for name, module in list(self._modules.items()):
                if sys.modules.get(name) is module:
                    del sys.modules[name]
            sys.modules.update(before)
            self._depth -= 1
