"""
Running a schedule of failures against a farm, and repairing everything at the end.
"""

import heapq
import itertools
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress

from attrs import define, field, frozen

from test.process_table import kill, read_proc
from test.processes.farm import (
    Client,
    Done,
    until,
    watch_furl_in,
)

from .autonomous import PERIODIC, UNFINISHED
from .evidence import Evidence, starts
from .jobs import Job
from .schedules import (
    MASTER,
    SLAVES,
    Event,
)
from .stalls import noting_stalls
from .tortured_farm import TorturedFarm

# Submissions at a time; more would overload the machine.
MOST_AT_ONCE = 6
END = 400.0
# Seconds until a process that does not stop is killed, as a service manager does.
LONGEST_STOP = 90.0
SLOW = 32_000
LATENCY = 0.15
AN_HOUR = 3600.0


@frozen
class Excuse:
    """
    A failure of a slave between two times (seconds since 1970) that may cost an attempt.
    """

    slave: str
    begins: float
    ends: float
    why: str


@define
class Campaign:
    """
    A schedule in progress.  *say*: called with each event.  *disturbances*: begin and end of each time in which the
    master could not work as it should, in seconds since 1970.
    """

    farm: TorturedFarm
    say: Callable[[str], None]
    injected: Counter[str] = field(factory=Counter)
    excuses: list[Excuse] = field(factory=list)
    jobs: dict[str, Job] = field(factory=dict)
    clients: dict[str, Client] = field(factory=dict)
    nudges: list[Client] = field(factory=list)
    disturbances: list[tuple[float, float]] = field(factory=list)
    _later: list[tuple[float, int, Callable[[], None]]] = field(factory=list)
    _number: "itertools.count[int]" = field(factory=itertools.count)
    _postponed: int = 0
    _began: float = 0.0
    wall_began: float = 0.0
    wall_ended: float = 0.0

    def run(self, events: list[Event]) -> None:
        """
        Inject *events* at their times, then `mend`.
        """
        # What is pushed before the first poll is taken as known, and is no change.
        until(lambda: self.farm.rows("select 1 from states where owner like 'source:%'"), "the first poll")
        with noting_stalls(self.disturbances.append):
            self.inject(events)
            self.mend()

    def inject(self, events: list[Event]) -> None:
        """
        Inject *events* at their times.
        """
        self._began = time.monotonic()
        self.wall_began = time.time()
        for event in events:
            self._at(event.at, lambda event=event: self._do(event))  # type: ignore[misc]  # it is bound now
        while self._later:
            at, _, action = heapq.heappop(self._later)
            time.sleep(max(0.0, self._began + at - time.monotonic()))
            action()

    def mend(self) -> None:
        """
        Repair everything, and wait until every request is finished.
        """
        for proxy in self.farm.proxies.values():
            proxy.throttle(None)
        try:
            until(self._all_told, "every client was told, or gave up", END)
            if not any(map(told, self.clients.values())):
                # No submission was acknowledged, so none has an exit code: submit one more.
                until(lambda: self.farm.master.ready in self.farm.master.log, "the master is ready")
                self._do_submit("late", "work", "1000", "0.1", "0")
                until(self._all_told, "the last client was told", END)
            until(self._all_seen, "every pushed commit is a change, and no scheduler waits with one", END)
            ((newest,),) = self.farm.rows("select max(id) from buildsets")
            until(lambda: self._timers_since(newest), "the timers fire on", END)
            until(lambda: not self._unfinished(newest), "every request is finished", END)
            self.wall_ended = time.time()
        except AssertionError as error:
            error.add_note(self._state())
            raise

    def watched(self) -> dict[str, Done]:
        """
        The results that clients see whose submissions were acknowledged, by job.
        """
        furls = {name: found for name, client in self.clients.items() if (found := told(client))}
        done: dict[str, Done] = {}
        names = list(furls)
        for at in range(0, len(names), 4):
            watching = {name: self.farm.watching(furls[name]) for name in names[at : at + 4]}
            done.update({name: client.wait(120) for name, client in watching.items()})
        return done

    def evidence(self) -> Evidence:
        """
        The evidence at the end about the farm's own actions, which continue meanwhile.
        """
        snapshot = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(self.farm.database, timeout=30)) as records:
            records.backup(snapshot)
        log = self.farm.master.log_path.read_text(errors="replace")
        return Evidence(
            rows=lambda query, *arguments: snapshot.execute(query, arguments).fetchall(),
            revisions=self.farm.repository.revisions(),
            began=self.wall_began,
            ended=self.wall_ended,
            disturbances=[*self.disturbances, *starts(log, self.farm.master.ready)],
            overfull=self.farm.witnessed("overfull"),
            holders=self.farm.witnessed("holders"),
        )

    # The injected failures.

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (when, next(self._number), action))

    def _after(self, seconds: str, action: Callable[[], None]) -> None:
        self._at(time.monotonic() - self._began + float(seconds), action)

    def _do(self, event: Event) -> None:
        self.say(str(event))
        getattr(self, f"_do_{event.name.replace('-', '_')}")(*event.words)
        if event.name != "submit":
            self.injected[event.name] += 1

    def _do_submit(self, name: str, builder: str, size: str, seconds: str, code: str) -> None:
        busy = sum(client.process.poll() is None for client in self.clients.values()) >= MOST_AT_ONCE
        if busy or not self.farm.master.alive:
            # The master is down, or this machine is busy.  Submissions that are postponed do not wait for each other.
            if len(self._later) > self._postponed:
                self._postponed += 1
                self._after("1.0", lambda: self._submit_again(name, builder, size, seconds, code))
            return
        job = self.jobs[name] = Job(name, builder, int(size), float(seconds), int(code))
        self.clients[name] = self.farm.submitting(builder, job.properties)

    def _submit_again(self, *words: str) -> None:
        self._postponed -= 1
        self._do_submit(*words)

    def _do_nudge(self) -> None:
        if self.farm.master.alive:
            self.nudges += [self.farm.submitting("nudged") for _ in range(2)]

    def _do_push(self, branch: str, count: str) -> None:
        self.farm.repository.push(branch, int(count))

    def _do_force_push(self, branch: str) -> None:
        self.farm.repository.force_push(branch)

    def _do_delete_branch(self, branch: str) -> None:
        self.farm.repository.delete(branch)

    def _do_cut(self, slave: str) -> None:
        self.farm.proxies[slave].cut()

    def _do_cuts(self, slave: str, times: str) -> None:
        self.farm.proxies[slave].cut_at_random(int(float(times)), least=3_000, most=120_000, seed=len(self.injected))

    def _do_silence(self, slave: str, seconds: str) -> None:
        proxy = self.farm.proxies[slave]
        proxy.silence()
        self._after(seconds, proxy.speak)

    def _do_partition(self, slave: str, seconds: str) -> None:
        self._excuse(slave, float(seconds) + 120.0, "partition")
        self._do_silence(slave, seconds)

    def _do_throttle(self, slave: str, seconds: str) -> None:
        proxy = self.farm.proxies[slave]
        proxy.throttle(SLOW)
        self._after(seconds, lambda: proxy.throttle(None))

    def _do_delay(self, slave: str, seconds: str) -> None:
        proxy = self.farm.proxies[slave]
        proxy.delay(LATENCY)
        self._after(seconds, lambda: proxy.delay(0.0))

    def _do_kill_slave(self, slave: str, seconds: str) -> None:
        self.farm.slaves[slave].kill()
        self._after(seconds, lambda: self._up(slave))

    def _do_restart_slave(self, slave: str) -> None:
        self._restart(slave)

    def _do_stop_slave(self, slave: str, seconds: str) -> None:
        self._pause(slave, self.farm.slaves[slave].pid, seconds)

    def _do_stop_keeper(self, slave: str, seconds: str) -> None:
        for pid in self.farm.keepers(slave):
            self._pause(slave, pid, seconds)

    def _do_stop_master(self, seconds: str) -> None:
        self._pause(MASTER, self.farm.master.pid, seconds)

    def _do_kill_master(self, seconds: str) -> None:
        self.farm.master.kill()
        self._disturbed(seconds, lambda: self._up(MASTER))

    def _do_restart_master(self) -> None:
        self._restart(MASTER)

    def _do_kill_both(self, slave: str, seconds: str) -> None:
        self.farm.master.kill()
        self.farm.slaves[slave].kill()
        self._disturbed(seconds, lambda: self._up(MASTER))
        self._after(seconds, lambda: self._up(slave))

    def _do_reconfigure(self) -> None:
        self.farm.edit_config()
        admin = (self.farm.master_directory / "private" / "admin.furl").read_text().split()[-1]
        self.farm.client("buildbot-lite", "reconfig", "--furlfile", self.farm.private_furl(admin))

    def _do_edit_and_kill_master(self, seconds: str) -> None:
        self.farm.master.kill()
        self._disturbed(seconds, lambda: self._up(MASTER))
        self.farm.edit_config()

    def _do_fill_disk(self, whose: str, seconds: str) -> None:
        if not self.farm.disks or (ballast := self.farm.directory / whose / "ballast").exists():
            return

        def repair() -> None:
            ballast.unlink()
            # It may have ended because of the full disk, and there is no service manager to start it again.
            self._up(whose)

        self._disturbed(seconds, repair, whose)
        self.farm.fill_up(whose)

    def _do_lock_database(self, seconds: str) -> None:
        path = self.farm.master_directory / "records" / "farm.sqlite"
        connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        with suppress(sqlite3.OperationalError):
            connection.execute("begin immediate")
        self._disturbed(seconds, connection.close)

    def _do_clock(self, whose: str, seconds: str) -> None:
        # For that hour, what is to happen at a time of day has happened already.
        self._disturb(str(float(seconds) + AN_HOUR), whose)
        self.farm.set_clock(whose, AN_HOUR)
        self._after(seconds, lambda: self.farm.set_clock(whose, 0))

    def _do_kill_keeper(self, slave: str) -> None:
        self._excuse(slave, 5.0, "kill-keeper")
        for pid in self.farm.keepers(slave):
            kill(pid)

    def _do_reboot(self, slave: str, seconds: str) -> None:
        self._excuse(slave, 10.0, "reboot")
        self.farm.reboot(slave)
        self._after(seconds, lambda: self._up(slave))

    def _disturbed(self, seconds: str, repair: Callable[[], None], whose: str = MASTER) -> None:
        """
        Note a disturbance that ends with *repair*, in *seconds*, or later where this program is busy.
        """
        began = time.time()
        self._disturb(seconds, whose)

        def repaired() -> None:
            repair()
            if whose == MASTER:
                self.disturbances.append((began, time.time()))

        self._after(seconds, repaired)

    def _disturb(self, seconds: str, whose: str = MASTER) -> None:
        if whose == MASTER:
            now = time.time()
            self.disturbances.append((now, now + float(seconds)))

    def _excuse(self, slave: str, seconds: float, why: str) -> None:
        # The master notices the loss when the slave attaches again, perhaps after all other failures.
        now = time.time()
        self.excuses.append(Excuse(slave, now, now + seconds, why))

    def _pause(self, whose: str, pid: int, seconds: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        stat = _started(pid)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                if _started(pid) == stat:
                    os.kill(pid, signal.SIGCONT)

        self._disturbed(seconds, go_on, whose)

    def _restart(self, whose: str) -> None:
        daemon = self.farm.daemon(whose)
        if daemon.alive:
            self._disturb("0", whose)
            daemon.send(signal.SIGTERM)
            daemon.send(signal.SIGCONT)
        self._once_stopped(whose, LONGEST_STOP)

    def _once_stopped(self, whose: str, left: float) -> None:
        # Not blocking, because the end of another failure may let the process stop.
        if self.farm.daemon(whose).alive and left > 0:
            self._disturb("0.5", whose)
            self._after("0.5", lambda: self._once_stopped(whose, left - 0.5))
            return
        self.farm.daemon(whose).kill()
        self._up(whose)

    def _up(self, whose: str) -> None:
        daemon = self.farm.daemon(whose)
        if not daemon.alive:
            self._disturb("0", whose)
            daemon.spawn()

    def _all_up(self) -> None:
        # A full disk may have ended a process, and there is no service manager to start it again.
        for name in (*SLAVES, MASTER):
            self._up(name)

    def _all_told(self) -> bool:
        self._all_up()
        clients = [*self.clients.values(), *self.nudges]
        return all(client.process.poll() is not None or told(client) for client in clients)

    def _all_seen(self) -> bool:
        self._all_up()
        with suppress(sqlite3.OperationalError):
            seen = set(self.farm.rows("select branch, revision from changes"))
            return self.farm.repository.revisions() <= seen and not self.farm.rows("select 1 from pending_changes")
        return False

    def _timers_since(self, newest: int) -> bool:
        self._all_up()
        with suppress(sqlite3.OperationalError):
            fired = self.farm.rows("select scheduler from buildsets where id > ?", newest)
            return (PERIODIC,) in fired
        return False

    def _unfinished(self, newest: int | None = None) -> list[int]:
        """
        The unfinished requests, without those that timers have submitted after the buildset *newest*.
        """
        self._all_up()
        with suppress(sqlite3.OperationalError):
            found = self.farm.rows(
                "select r.id, b.id, b.scheduler from requests r join buildsets b on b.id = r.buildset "
                "where r.finished is null"
            )
            return [
                id for id, buildset, name in found if newest is None or buildset <= newest or name not in UNFINISHED
            ]
        return [0]

    def _state(self) -> str:
        """
        The unfinished requests, and the last log lines of each process.
        """
        farm = self.farm
        asked = "select b.builder, b.number, b.slave, j.step, j.kind, j.outcome is null from builds b "
        asked += "join journal j on j.build = b.id where b.finished is null order by b.id, j.step, j.ordinal"
        said = [f"unfinished requests: {self._unfinished()}", *map(str, farm.rows(asked))]
        admin = (farm.master_directory / "private" / "admin.furl").read_text().split()[-1]
        said.append(farm.command("queue", "--furlfile", farm.private_furl(admin)).out.decode(errors="replace"))
        for name in (MASTER, *farm.slaves):
            said += [f"--- {name}", *farm.daemon(name).log.splitlines()[-40:]]
            said.append(f"held: {sorted(farm.held(name))}")
        return "\n".join(said)


def told(client: Client) -> str:
    """
    The FURL that watches the submission of *client*; empty when it was not acknowledged.
    """
    return watch_furl_in(client.err)


def _started(pid: int) -> bytes:
    return b"".join(read_proc(pid, "stat").rpartition(b")")[2].split()[19:20])
