"""
A farm for injected failures: each of two slaves has its own proxy, small disk, clock and simulated machine that can be
rebooted.

The product needs no test switch for this: the slaves' FURLs contain the addresses of the proxies, disks are mounted (by
root), libfaketime sets the clocks where it is installed, and ``slave.tac`` replaces the boot id.
"""

import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from test.process_table import read_proc
from test.processes.farm import (
    MASTER_TAC,
    WORDS,
    Daemon,
    Farm,
    until,
)
from test.processes.proxy import Proxy

from . import autonomous, jobs
from .schedules import MASTER, SLAVES

GRACE = 150.0
DISK = 160 << 20
_WHOSE = "TORTURED_MACHINE"
_BOOT = "TORTURED_BOOT"
_CLOCKS = [
    path for path in map(Path, ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",)) if path.exists()
] or sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

CLOCK = """
import os
import select
import time

# The clock of this process is libfaketime's, under which time.sleep() does not work; its children have an ordinary one.
# The library reads its own variables again at each call.
os.environ.pop("LD_PRELOAD", None)
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""

TAC = """
from attrs import evolve
from buildbot_lite.slave.session import Session

hello = Session.hello


async def of_this_boot(self, *given):
    with open(os.environ["TORTURED_BOOT"]) as file:
        return evolve(await hello(self, *given), boot=file.read())


Session.hello = of_this_boot
from buildbot_lite.slave_tap import application_for
application = application_for(furl={furl!r})
"""


class TorturedFarm(Farm):
    """
    A farm for a campaign.  *disks*: whether master and slaves get small disks.  *grace*: of the slaves, in seconds.
    *by_itself*: whether it also submits builds by itself, by timers and changes.
    """

    def __init__(self, *, disks: bool, grace: float = GRACE, by_itself: bool = True) -> None:
        super().__init__(*SLAVES)
        self.disks = disks
        self.by_itself = by_itself
        self.generation = 1
        self.proxies = {name: Proxy() for name in SLAVES}
        self.worker = self.directory / "worker.py"
        self.worker.write_text(jobs.WORKER)
        self.holder = self.directory / "holder.py"
        self.holder.write_text(autonomous.HOLDER)
        self.repository = autonomous.Repository(self.directory, self.env)
        self.repository.make()
        self.slave_options = dict.fromkeys(SLAVES, f"grace={grace}")
        if disks:
            self.mount(MASTER, DISK)
        (self.master_directory / "master.tac").write_text(CLOCK + MASTER_TAC)
        for name in (*SLAVES, MASTER):
            self._boot_file(name).write_text("boot-1")
        self.master.env = {**self.env, **self._own_environment(MASTER)}

    @property
    def clocks(self) -> bool:
        """
        Return whether clocks can be changed.
        """
        return bool(_CLOCKS)

    def _config_head(self) -> str:
        slaves = ", ".join(f"slave.BuildSlave({name!r}, {options})" for name, options in self.slave_options.items())
        # Nothing listens at that address: a slave must connect through the proxy in its FURL.
        return (
            f"{WORDS}c['location'] = ['127.0.0.1:9']\nSLAVES = {list(SLAVES)!r}\nc['slaves'] = [{slaves}]\n"
            f"{jobs.configuration(self.worker, self.generation)}"
            f"{autonomous.configuration(self.holder, self.repository.bare) if self.by_itself else ''}"
        )

    def edit_config(self) -> None:
        """
        Change the builder ``changing``.
        """
        self.generation += 1
        self.write_config()

    def start_master(self) -> None:
        self.master.start()
        for proxy in self.proxies.values():
            proxy.target = self.port

    def spawn_slave(self, name: str, furl: str | None = None) -> Daemon:
        if name not in self.slaves:
            directory = self.directory / name
            directory.mkdir()
            if self.disks:
                self.mount(name, DISK)
            self.write_tac(name, self.proxies[name])
            env = {**self.env, **self._own_environment(name)}
            self.slaves[name] = Daemon(name, directory, env, "slave.tac", "attached to the master")
        self.slaves[name].spawn()
        return self.slaves[name]

    def write_tac(self, name: str, proxy: Proxy) -> None:
        """
        Let a slave connect through *proxy* from its next start on.
        """
        tac = self.directory / name / "slave.tac"
        tac.touch(mode=0o600)
        place = f"@tcp:127.0.0.1:{proxy.port}/"
        tac.write_text(CLOCK + TAC.format(furl=re.sub(r"@tcp:127\.0\.0\.1:\d+/", place, self.furl(name))))

    def daemon(self, name: str) -> Daemon:
        """
        Return the twistd of a slave, or the master's.
        """
        return self.master if name == MASTER else self.slaves[name]

    def fill_up(self, name: str) -> Path:
        """
        Fill a disk to the last byte, while other processes write to it.
        """
        ballast = self.directory / name / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        return ballast

    def set_clock(self, name: str, ahead: float) -> None:
        """
        Set the wall clock of *name* to *ahead* seconds before the machine's.
        """
        new = self._clock_file(name).with_suffix(".new")
        new.write_text(f"{ahead:+.0f}s\n")
        new.replace(self._clock_file(name))

    def reboot(self, name: str) -> None:
        """
        Simulate a power failure of a slave's machine: kill all its processes, and lose unsynced data.
        """
        # Stop all processes first, so that none can see another one die and report it.
        stopped = set[int]()
        while new := set(self.processes_of(name)) - stopped:
            for pid in new:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= new

        def nobody_left() -> bool:
            for pid in (found := self.processes_of(name)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        until(nobody_left, "every process of the machine was killed")
        self.slaves[name].kill()
        self._forget_unsynced(self.directory / name / "keeper")
        boot = self._boot_file(name)
        boot.write_text(f"boot-{int(boot.read_text().split('-')[1]) + 1}")

    def held(self, name: str) -> set[str]:
        """
        Return the ids of the commands that the keeper of *name* holds.
        """
        held = set[str]()
        claims = self.directory / name / "keeper" / "claims"
        for line in claims.read_text().splitlines(keepends=True) if claims.exists() else ():
            if line.endswith("\n"):
                record = json.loads(line)
                (held.discard if record["record"] == "forgotten" else held.add)(record["id"])
        return held

    def _forget_unsynced(self, keeper: Path) -> None:
        records = [json.loads(line) for line in (keeper / "claims").read_text().splitlines()]
        kept = [record for record in records if record["record"] != "spawned"]
        (keeper / "claims").write_text("".join(f"{json.dumps(record)}\n" for record in kept))
        synced = {record["id"] for record in records if record["record"] == "synced"}
        for path in (keeper / "commands").glob("*/stdio"):
            # No character of a command's id is written otherwise in the name of its directory.
            if path.parent.name not in synced:
                os.truncate(path, path.stat().st_size // 2)

    def processes_of(self, name: str) -> list[int]:
        """
        Return all processes on a slave's simulated machine.
        """
        mark = f"{_WHOSE}={name}\0".encode()
        return [pid for pid in self.processes() if mark in read_proc(pid, "environ") + b"\0"]

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()
        self.proxies.clear()
        super().close()

    def _own_environment(self, name: str) -> Mapping[str, str]:
        own = {_WHOSE: name, _BOOT: str(self._boot_file(name))}
        if _CLOCKS:
            self.set_clock(name, 0)
            own |= {
                "LD_PRELOAD": str(_CLOCKS[0]),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock_file(name)),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_NO_CACHE": "1",
                "NO_FAKE_STAT": "1",
            }
        return own

    def _boot_file(self, name: str) -> Path:
        return self.directory / f"{name}.boot"

    def _clock_file(self, name: str) -> Path:
        return self.directory / f"{name}.clock"
