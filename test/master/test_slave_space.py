"""
What a welcome says of a slave's disk: its minspace, and the work directories that are in use.
"""

import io
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.output.tables import slaves
from buildbot_lite.master.slaves.desk import SlaveDesk
from buildbot_lite.model.hello import Welcome
from buildbot_lite.status.slave_documents import of_slave

from .configurations import builder_config, master_cfg
from .harness import FakeSlave, MasterHarness, hello

GO = 'schedulers.Submit("go", builderNames=["b"])'
SHORT = 1 << 20


def config(*builders: str, minspace: int = 1 << 30) -> str:
    """
    A master.cfg with the slaves "bot1", which has *minspace*, and "bot2"; "bot1" builds *builders* (name, arguments).
    """
    step = ['steps.ShellCommand(command=["true"])']
    own = [each.partition(" ") for each in builders]
    return master_cfg(
        slaves={"bot1": f"minspace={minspace}", "bot2": ""},
        builders=[
            *(builder_config(name, slaves=["bot1"], steps=step, arguments=more) for name, _, more in own),
            builder_config("elsewhere", slaves=["bot2"], steps=step),
        ],
        schedulers=[GO] if "b" in builders else [],
    )


class SlaveSpaceTests(SynchronousTestCase):
    def start(self, text: str) -> None:
        self.harness = MasterHarness(text)

    def attach(self, slave: FakeSlave | None = None, name: str = "bot1", **said: Any) -> tuple[FakeSlave, Welcome]:
        """
        Attach by the desk, as a slave does.
        """
        slave = slave or FakeSlave()
        desk = SlaveDesk(name, self.harness.farm.slaves, lambda key: None, tuple)
        welcome = self.successResultOf(desk.attach(slave, hello(**said), "key-1"))
        self.harness.settle()
        return slave, welcome

    def apply(self, text: str) -> None:
        self.harness.configure(text)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.settle()

    def test_told(self) -> None:
        """
        Promise 8.9: a slave with a minspace is told it, and the directories of its own builders, also those of
        builddir; another slave is told nothing.
        """
        self.start(config("b", "with/slash", "other builddir='deep/er'"))
        _, welcome = self.attach()
        self.assertEqual((welcome.minspace, welcome.directories), (1 << 30, ("b", "deep/er", "with_slash")))
        _, welcome = self.attach(name="bot2")
        self.assertEqual((welcome.minspace, welcome.directories), (0, None))

    def test_reconfigured(self) -> None:
        """
        Promise 8.9: a slave with too little space attaches again when its builders change, and any when its minspace
        does; others stay.
        """
        self.start(config("b", "stale"))
        enough, _ = self.attach(space=2 << 30)
        self.apply(config("b"))
        self.assertEqual(enough.dropped, [])
        self.apply(config("b", minspace=3 << 30))
        self.assertEqual(enough.dropped, ["its minspace or its builders changed"])
        short, welcome = self.attach(space=2 << 30)
        self.assertEqual((welcome.minspace, welcome.directories), (3 << 30, ("b",)))
        self.apply(config("b", minspace=3 << 30))
        self.assertEqual(short.dropped, [])
        self.apply(config("b", "new", minspace=3 << 30))
        self.assertEqual(len(short.dropped), 1)

    def test_running(self) -> None:
        """
        Promise 8.9: the directory of an unfinished build is in use although its builder is gone, also after a restart
        of the master; when it ended, a slave with too little space is told.
        """
        self.start(config("b", "c"))
        slave, _ = self.attach(space=2 << 30)
        self.harness.submit()
        self.assertEqual(len(slave.commands), 1)
        self.apply(config("c"))
        self.harness.restart()
        slave, welcome = self.attach(slave, space=SHORT, held=slave.held())
        self.assertEqual(welcome.directories, ("b", "c"))
        self.assertEqual(slave.dropped, [])
        slave.commands[-1].end(0)
        self.harness.settle()
        self.assertEqual(self.harness.farm.slots.on("bot1"), [])
        self.assertEqual(len(slave.dropped), 1)

    def test_unknown(self) -> None:
        """
        Promise 8.9: when the directory of an unfinished build is not known, or there are too many, none is told, and so
        none is removed.
        """
        self.start(config("b"))
        slave, _ = self.attach(space=2 << 30)
        self.harness.submit()
        (request, slot), *_ = self.harness.farm.slots.of_slave("bot1")
        self.assertEqual(slot.directory, "b")
        self.harness.farm.slots.take(request, type(slot)(slot.label, slot.builder, slot.slave))
        slave.lose()
        _, welcome = self.attach(held=slave.held())
        self.assertEqual((welcome.minspace, welcome.directories), (1 << 30, None))

        self.start(config("b"))
        self.harness.farm.slaves._directories = lambda name: [f"b{number}" for number in range(10_001)]
        _, welcome = self.attach()
        self.assertIsNone(welcome.directories)
        self.harness.farm.slaves._directories = lambda name: [f"{number:01000}" for number in range(1000)]
        _, welcome = self.attach()
        self.assertIsNone(welcome.directories)

    def test_shown(self) -> None:
        """
        Promise 8.9: a slave with too little space takes no build, and its obstacle says what it has removed.
        """
        self.start(config("b"))
        self.attach(space=SHORT, removed=("old", "older"))
        document = of_slave(self.harness.farm, self.harness.farm.slaves["bot1"])
        self.assertEqual(
            document["obstacle"],
            "bot1 has 1 MiB free, and needs 1024 MiB (minspace), although it removed work directories that no builder "
            "uses: old, older",
        )
        self.assertEqual((document["low_space"], document["removed"]), (True, ["old", "older"]))
        shown = io.StringIO()
        Console(file=shown, width=500).print(slaves([document]))
        self.assertIn("low space", shown.getvalue())
        self.assertIn("uses: old, older", shown.getvalue())
        self.attach(space=1 << 30, removed=("old",))
        document = of_slave(self.harness.farm, self.harness.farm.slaves["bot1"])
        self.assertEqual((document["obstacle"], document["low_space"], document["removed"]), (None, False, ["old"]))
        shown = io.StringIO()
        Console(file=shown, width=500).print(slaves([document]))
        self.assertNotIn("low space", shown.getvalue())
