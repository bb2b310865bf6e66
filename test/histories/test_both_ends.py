"""
Random histories of losses, repetitions, deaths and restarts, for both ends of the wire's contract, in memory.

The master is the real `Farm`, the slaves are real agents with real sessions; links, keepers and disks are fakes that
follow their contracts.  `simulated_farm.SimulatedFarm.check` checks the invariants I1 to I8 after every event; at the
end all failures are repaired, and every promise must hold.
"""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from .simulated_farm import SLAVES, SimulatedFarm

EXAMPLES = int(os.environ.get("HISTORIES", "60"))
# HISTORIES=2000 runs more histories than the ordinary tests, new ones each time; SHRINK=1 minimises a failing one.
DERANDOMIZED = "HISTORIES" not in os.environ
PHASES = (Phase.generate, Phase.shrink) if "SHRINK" in os.environ else (Phase.generate,)
NAMES = st.sampled_from(SLAVES)


class Histories(RuleBasedStateMachine):
    """
    The possible events.
    """

    world: SimulatedFarm

    @initialize(builders=st.lists(st.sampled_from(["b", "f"]), min_size=1, max_size=2))
    def begin(self, builders: list[str]) -> None:
        self.world = SimulatedFarm()
        for builder in builders:
            self.world.submit(builder)
        self.world.settle()

    def machine(self, name: str) -> Any:
        return self.world.machines[name]

    # Users.

    @precondition(lambda self: self.world.master.farm is not None and len(self.world.requests) < 4)
    @rule(builder=st.sampled_from(["b", "f"]))
    def submit(self, builder: str) -> None:
        self.world.submit(builder)
        self.world.settle()

    @precondition(lambda self: self.world.master.farm is not None and self.world.requests)
    @rule(index=st.integers(0, 3))
    def cancel(self, index: int) -> None:
        self.world.cancel(self.world.requests[index % len(self.world.requests)])
        self.world.settle()

    # Commands.

    @rule(name=NAMES, size=st.sampled_from([1, 100, 5_000, 20_000, 70_000]))
    def write(self, name: str, size: int) -> None:
        for command in self.machine(name).running:
            self.machine(name).write(command, size)
        self.world.settle()

    @rule(name=NAMES, code=st.sampled_from([0, 0, 0, 1]))
    def end(self, name: str, code: int) -> None:
        for command in self.machine(name).running[:1]:
            self.world.end_command(self.machine(name), command, code)
        self.world.settle()

    # Links.

    @rule(name=NAMES, slave=st.booleans(), master=st.booleans())
    def cut(self, name: str, slave: bool, master: bool) -> None:
        link = self.world.link_of(self.machine(name))
        if link is not None:
            link.cut()
            if slave:
                link.slave.lose()
            if master:
                link.master.lose()
            self.world.settle()

    @rule(name=NAMES)
    def connect(self, name: str) -> None:
        self.world.connect(self.machine(name))
        self.world.settle()

    @rule(name=NAMES, reachable=st.booleans())
    def partition(self, name: str, reachable: bool) -> None:
        self.machine(name).reachable = reachable
        link = self.world.link_of(self.machine(name))
        if not reachable and link is not None:
            link.cut()

    @rule(slow=st.booleans())
    def slow(self, slow: bool) -> None:
        self.world.slow = slow
        self.world.settle()

    @rule(name=NAMES, to_master=st.booleans(), count=st.integers(1, 4))
    def deliver(self, name: str, to_master: bool, count: int) -> None:
        link = self.world.link_of(self.machine(name))
        if link is not None:
            link.deliver(link.master if to_master else link.slave, count)
            self.world.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0, 12.0, 40.0, 100.0, 160.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # Deaths.

    @rule(name=NAMES)
    def kill_slave(self, name: str) -> None:
        self.machine(name).kill()
        self.world.settle()

    @rule(name=NAMES)
    def start_slave(self, name: str) -> None:
        machine = self.machine(name)
        if machine.process is None:
            machine.start()
            self.world.connect(machine)
        self.world.settle()

    @rule(name=NAMES, unknown=st.booleans())
    def kill_keeper(self, name: str, unknown: bool) -> None:
        machine = self.machine(name)
        self.world.lose(machine, machine.kill_keeper(unknown=unknown), "the keeper was killed")
        self.world.settle()

    @rule(name=NAMES)
    def reboot(self, name: str) -> None:
        machine = self.machine(name)
        self.world.lose(machine, machine.reboot(), "a reboot")
        self.world.settle()

    @precondition(lambda self: self.world.master.farm is not None and not self.world.master.process.held)
    @rule(name=NAMES)
    def give_up(self, name: str) -> None:
        self.world.give_up(self.machine(name))
        self.world.settle()

    @precondition(lambda self: self.world.master.farm is not None)
    @rule(committing=st.integers(0, 2))
    def kill_master(self, committing: int) -> None:
        self.world.kill_master(committing)
        self.world.settle()

    @precondition(lambda self: self.world.master.farm is None)
    @rule()
    def start_master(self) -> None:
        self.world.master.start()
        self.world.settle()

    # The master's disk.

    @rule(full=st.booleans())
    def fill_disk(self, full: bool) -> None:
        self.world.disk_full = full
        self.world.settle()

    @precondition(lambda self: self.world.master.process is not None)
    @rule(held=st.booleans())
    def hold_commits(self, held: bool) -> None:
        process = self.world.master.process
        assert process is not None
        process.held = held
        if not held:
            process.commit(process.waiting)
        self.world.settle()

    @precondition(lambda self: self.world.master.process is not None and self.world.master.process.waiting)
    @rule(count=st.integers(1, 3))
    def commit(self, count: int) -> None:
        process = self.world.master.process
        assert process is not None
        process.commit(count)
        self.world.settle()

    @invariant()
    def what_must_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.finish()
            finally:
                self.world.close()


class BothEndsTests(SynchronousTestCase):
    """
    The state machine as a test.
    """

    def test_any_history(self) -> None:
        """
        Invariants I1 to I8 hold through any history of losses, deaths and restarts, and every promise is kept in the
        end.
        """
        case = Histories.TestCase
        case.settings = settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize=DERANDOMIZED,
            phases=PHASES,
            report_multiple_bugs=False,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        case("runTest").debug()
