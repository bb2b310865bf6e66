"""
Class names are unique, and packages name their modules.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import buildbot_lite

PACKAGE = Path(buildbot_lite.__file__).parent
WANTED: dict[str, tuple[str, ...]] = {
    "Build": ("master.builds.build", "storage.records.builds"),
    "DirectoryUpload": ("master.steps.transfer", "slave.uploads"),
    "FileDownload": ("master.steps.transfer", "slave.downloads"),
    "FileUpload": ("master.steps.transfer", "slave.uploads"),
    "Interpolate": ("master.config.renderable_objects", "model.interpolation"),
    "MakeDirectory": ("master.steps.directories", "model.spec"),
    "Options": ("master_tap", "slave_tap"),
    "Property": ("master.config.renderable_objects", "model.rendering"),
    "Remark": ("model.outcome", "storage.records.remarks"),
    "RemoveDirectory": ("master.steps.directories", "model.spec"),
    "Secret": ("master.config.renderable_objects", "model.rendering"),
    "Session": ("master.slaves.session", "slave.session"),
    "Slave": ("storage.records.slaves", "wire.roles"),
}


def classes() -> dict[str, list[str]]:
    """
    Return the modules that define a class of each name.
    """
    found = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(module)
    return found


class NamesTests(SynchronousTestCase):
    """
    Names of classes.
    """

    def test_classes(self) -> None:
        """
        No two modules define a class of the same name, except for the listed pairs: a record and its live object, the
        two ends of a conversation, a step and its spec.
        """
        self.assertEqual({name: tuple(found) for name, found in classes().items() if len(found) > 1}, WANTED)


GROUPS = (
    "cli",
    "cli/asking",
    "cli/builds",
    "cli/command_line",
    "cli/directories",
    "cli/farm",
    "cli/output",
    "cli/packages",
    "cli/watch",
    "control",
    "keeper",
    "master/builds",
    "master/grants",
    "master/scheduling",
    "master/slaves",
    "model",
    "packages",
    "packages/building",
    "packages/control",
    "packages/formats",
    "packages/keys",
    "packages/records",
    "packages/repositories",
    "packages/service",
    "packages/signer",
    "packages/signing",
    "packages/targets",
    "slave",
    "status",
    "status/reporters",
    "storage",
    "storage/records",
    "web",
    "wire",
    "wire/limits",
)
"""Packages whose docstrings say of each of their modules what it is for."""


def unnamed(directory: Path) -> list[str]:
    """
    Return the modules and packages in *directory* that its docstring does not name, itself or as ``word_*``.
    """
    found = {path.stem for path in directory.glob("*.py")} | {
        path.parent.name for path in directory.glob("*/__init__.py")
    }
    docstring = ast.get_docstring(ast.parse((directory / "__init__.py").read_text())) or ""
    words = set(re.findall(r"\w+\*?", docstring))
    return sorted(
        name
        for name in found - words
        if not name.startswith("__") and not any(word[-1] == "*" and name.startswith(word[:-1]) for word in words)
    )


def named_modules(text: str) -> set[str]:
    """
    Return the dotted names in *text* that begin with a module or package of this program.
    """
    first = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    files = {"master.cfg", "slave.tac"}
    return {
        name for name in re.findall(r"(?<!/)\b[a-z_]+(?:\.[a-z_]+)+", text) if name.partition(".")[0] in first
    } - files


class GroupsTests(SynchronousTestCase):
    """
    Docstrings of packages.
    """

    def test_map(self) -> None:
        """
        Each module that the map names is there.
        """
        named = named_modules(buildbot_lite.__doc__ or "")
        self.assertIn("master.grants.registry", named)
        places = {name: PACKAGE.joinpath(*name.split(".")) for name in named}
        self.assertEqual(
            [name for name, at in places.items() if not (at.is_dir() or at.with_suffix(".py").is_file())], []
        )

    def test_complete(self) -> None:
        """
        The docstring of a package that describes its modules names each of them: add a new one there.
        """
        for group in GROUPS:
            self.assertEqual(unnamed(PACKAGE / group), [], f"buildbot_lite/{group}/__init__.py does not name these")
