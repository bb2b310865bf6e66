"""
Class names are unique.
"""

import ast
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
