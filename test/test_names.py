"""
One name, one thing.
"""

import ast
from collections import defaultdict
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import buildbot_lite

PACKAGE = Path(buildbot_lite.__file__).parent
WANTED: dict[str, tuple[str, ...]] = {
    "Asking": ("master.builds.triggered", "master.scheduling.can_start"),
    "Build": ("master.builds.build", "storage.records.builds"),
    "Command": ("keeper.command", "wire.roles"),
    "Desk": ("keeper.server", "wire.roles"),
    "DirectoryUpload": ("master.steps.transfer", "slave.uploads"),
    "Ending": ("keeper.command", "model.outcome"),
    "Farm": ("cli.connection", "master.farm"),
    "FileDownload": ("master.steps.transfer", "slave.downloads"),
    "FileUpload": ("master.steps.transfer", "slave.uploads"),
    "Follower": ("keeper.tail", "wire.control"),
    "Hello": ("model.hello", "wire.limits.unauthenticated"),
    "Interpolate": ("master.config.objects", "model.interpolation"),
    "Keeping": ("slave.agent", "slave.session"),
    "Kept": ("keeper.command_store", "master.builds.streams"),
    "Line": ("cli.connection", "master.slaves.session"),
    "Listener": ("keeper.command", "master.slaves.session", "wire.tub"),
    "Location": ("master.farm", "master.grants.location"),
    "MakeDirectory": ("master.steps.directories", "model.spec"),
    "Means": ("keeper.process_tracker", "slave.transfer"),
    "Move": ("master.farm", "master.grants.location"),
    "Options": ("master_tap", "slave_tap"),
    "Order": ("keeper.start_request", "master.slaves.command"),
    "Place": ("master.config.mistakes", "slave.safe_paths"),
    "Process": ("cli.processes", "keeper.process_tracker"),
    "Property": ("master.config.objects", "model.rendering"),
    "Reactor": ("slave.keeper_client", "slave.worker_process"),
    "Remark": ("model.outcome", "storage.records.remarks"),
    "RemoveDirectory": ("master.steps.directories", "model.spec"),
    "Request": ("keeper.termination", "storage.records.requests"),
    "Running": ("keeper.command", "master.scheduling.queue", "slave.worker_process"),
    "Secret": ("master.config.objects", "model.rendering"),
    "Session": ("master.slaves.session", "slave.session"),
    "Shelf": ("keeper.command_store", "master.slaves.command"),
    "Slave": ("storage.records.slaves", "wire.roles"),
    "Step": ("master.config.objects", "storage.records.steps"),
    "Stream": ("master.slaves.command", "storage.records.streams"),
    "Texts": ("keeper.masking", "master.builds.step_context"),
    "Waiting": ("keeper.command", "master.scheduling.queue"),
    "_Told": ("status.explaining", "wire.client"),
}


def classes() -> dict[str, list[str]]:
    """
    The modules that define a class of each name.
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
        No class name stands in two modules, but for the listed pairs: a record and the live object, the two ends of a
        conversation, a step and what it asks of a slave.
        """
        self.assertEqual({name: tuple(found) for name, found in classes().items() if len(found) > 1}, WANTED)
