"""
Whole farms of real processes, for tests::

    with Farm() as farm:
        farm.builder("foo", "echo hello")
        farm.start()
        done = farm.submit("foo")
        done.code, done.out, done.err

A master and slaves run under the installed ``twistd``, submissions go through the installed ``flappclient``, and
everything is in one temporary directory.  Every process of a farm has a mark in its environment, by which `Farm.close`
finds and kills it, even if it is a daemon.  Before the directory is removed, its files are searched for FURLs and
secrets in wrong places (`leaks`).

No test sleeps for a fixed time as synchronisation: `until` polls a condition, and fails after a bounded time.
"""

import ctypes
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from attrs import define, field, frozen

from buildbot_lite.storage.compressed_streams import open_stream

from ..process_table import (
    arguments,
    kill,
    other_pids,
    read_proc,
)
from .leaks import leaks_of, swissnums_of
from .proxy import Proxy

T = TypeVar("T")

BIN = Path(sys.executable).parent
MARK = "BUILDBOT_LITE_TEST_FARM"
PATIENCE = 120.0
LOOK_AGAIN = 0.02

WORDS = (
    "from buildbot_lite.plugins import changes, schedulers, secrets, slave, steps, util\nc = BuildmasterConfig = {}\n"
)
MASTER_TAC = "from buildbot_lite.master_tap import application_for\napplication = application_for(__file__)\n"
SLAVE_TAC = "from buildbot_lite.slave_tap import application_for\napplication = application_for({arguments})\n"
_LOG_ON_FULL_DISK = re.compile(r"Temporarily disabling observer .*\n(\t.*\n)*?\t.*OSError: \[Errno 28\].*\n(\t\n)?")
# It cannot write its pid file then, either, and often there is no space for its whole message about that.
_START_ON_FULL_DISK = re.compile(
    r".*\[stderr#error\] Traceback.*\n(?:.*\[stderr#error\].*\n)*?"
    r"(?:.*\[stderr#error\].*\S\d{4}-\d\d-\d\dT\S+ \[-\] Loading"
    r"|.*\[stderr#error\].* open\(pidfile, .*\n.*\[stderr#error\] OSError: \[Errno 28\].*)"
)
_COMPLAINT = re.compile("Traceback|Unhandled|Starting factory")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def until(condition: Callable[[], T], what: str, within: float = PATIENCE) -> T:
    """
    Return the first true result of *condition*; after *within* seconds raise an AssertionError that names *what* did
    not happen.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"within {within:.0f} s it did not happen: {what}")
        time.sleep(LOOK_AGAIN)
    return answer


@cache
def can_mount() -> bool:
    """
    Return whether this process may mount small disks: root may, but not in every container.
    """
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="farm-") as directory:
        tried = subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=False, capture_output=True)
        if tried.returncode == 0:
            subprocess.run(["umount", directory], check=True)
        return tried.returncode == 0


def dying_with_the_test() -> Callable[[], None]:
    """
    The function by which a child process promises to die when the test's process dies, even of kill -9.
    """
    test = os.getpid()

    def promise() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # It says nothing of a parent that has died already (prctl(2)).
        if os.getppid() != test:
            os.kill(os.getpid(), signal.SIGKILL)

    return promise


@frozen
class Done:
    """
    The result of a client: its exit code and its output.
    """

    code: int
    out: bytes
    err: str

    @property
    def watch_furl(self) -> str:
        """
        Return the watch FURL in its first remark.
        """
        return watch_furl_in(self.err)


def watch_furl_in(err: str) -> str:
    """
    Return the FURL in the first line of a client's standard error, or "".
    """
    match = re.match(r"# requests? [0-9, ]+: watch with (pb://\S+)\n", err)
    return match[1] if match else ""


class Client:
    """
    A running ``flappclient`` or ``buildbot-lite``, whose output goes to files.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], directory: Path, stdin: bytes | None) -> None:
        number = len(list(directory.iterdir()))
        self.out_path = directory / f"{number}.out"
        self.err_path = directory / f"{number}.err"
        into: IO[bytes] | int = subprocess.DEVNULL
        if stdin is not None:
            given = directory / f"{number}.in"
            given.write_bytes(stdin)
            into = given.open("rb")
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                env=env,
                stdin=into,
                stdout=out,
                stderr=err,
                preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
            )
        if not isinstance(into, int):
            into.close()

    @property
    def out(self) -> bytes:
        """
        Return its standard output so far.
        """
        return self.out_path.read_bytes()

    @property
    def err(self) -> str:
        """
        Return its standard error so far.
        """
        return self.err_path.read_text(errors="replace")

    def watch_furl(self) -> str:
        """
        Wait for the watch FURL in its first remark.
        """
        return until(lambda: watch_furl_in(self.err), "the client was told a watch string")

    def wait(self, within: float = PATIENCE) -> Done:
        """
        Wait for its end; return the result.
        """
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the client did not end within {within:.0f} s; it said:\n{self.err}") from None
        return Done(code, self.out, self.err)


@define
class Daemon:
    """
    A ``twistd`` of a master or slave.  *before*: words of a command that runs it.
    """

    name: str
    directory: Path
    env: dict[str, str]
    tac: str
    ready: str
    process: "subprocess.Popen[bytes] | None" = None
    mark: int = 0
    arguments: Sequence[str] = ()
    pidfile: str = "twistd.pid"
    before: Sequence[str] = ()

    @property
    def log_path(self) -> Path:
        """
        Return the path of its twistd.log.
        """
        return self.directory / "twistd.log"

    @property
    def log(self) -> str:
        """
        Return its log since the last start.
        """
        with suppress(FileNotFoundError), self.log_path.open("rb") as file:
            file.seek(self.mark)
            return file.read().decode(errors="replace")
        return ""

    @property
    def pid(self) -> int:
        """
        Return its pid.
        """
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """
        Return whether it runs.
        """
        return self.process is not None and self.process.poll() is None

    def spawn(self) -> None:
        """
        Start it without waiting.
        """
        assert not self.alive, f"{self.name} runs already"
        self.mark = self.log_path.stat().st_size if self.log_path.exists() else 0
        with (self.directory / "twistd.err").open("ab") as err:
            self.process = subprocess.Popen(
                [
                    *self.before, str(BIN / "twistd"), "--nodaemon", f"--pidfile={self.pidfile}",
                    "--logfile=twistd.log", *(self.arguments or ("-y", self.tac)),
                ],
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                start_new_session=True,
                preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
            )  # fmt: skip

    def wait_ready(self) -> None:
        """
        Wait until its log says that it is ready.
        """
        until(lambda: self.ready in self.log or not self.alive, f"{self.name} is ready")
        assert self.ready in self.log, f"{self.name} ended:\n{self.said}\n{self.log}"

    def start(self) -> None:
        """
        Start it, and wait until it is ready.
        """
        self.spawn()
        self.wait_ready()

    @property
    def said(self) -> str:
        """
        Return its output since the beginning of the farm.
        """
        return (self.directory / "twistd.err").read_text(errors="replace")

    def send(self, number: int) -> None:
        """
        Send a signal.
        """
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """
        End it with kill -9.
        """
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """
        Send SIGTERM, and wait for its end.
        """
        self.send(number)
        return self.wait()

    def wait(self, within: float = PATIENCE) -> int:
        """
        Wait for its end; return the exit code.
        """
        assert self.process is not None
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end; its log:\n{self.log[-4000:]}") from None


@define
class Rss:
    """
    The memory of some processes, sampled over time.
    """

    pids: Mapping[str, int]
    idle: dict[str, int] = field(init=False)
    peak: dict[str, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.idle = {name: rss(pid) for name, pid in self.pids.items()}
        self.peak = dict(self.idle)

    def sample(self) -> None:
        """
        Take a sample.
        """
        for name, pid in self.pids.items():
            self.peak[name] = max(self.peak[name], rss(pid))

    def above_idle(self) -> dict[str, float]:
        """
        Return, by process, the maximum above the first sample, in MiB.
        """
        return {name: (self.peak[name] - self.idle[name]) / (1 << 20) for name in self.pids}


def rss(pid: int) -> int:
    """
    Return the resident set size of a process, in bytes.
    """
    match = re.search(r"^VmRSS:\s+(\d+) kB$", read_proc(pid, "status").decode(), re.MULTILINE)
    return int(match[1]) << 10 if match else 0


class Farm:
    """
    A master, its slaves and their clients, in a temporary directory, until the end of the ``with``.

    *slaves*: their names.  *proxied*: slaves come in through ``proxy``, which can be cut.  *settings*: more lines for
    the end of master.cfg.  *secret_values*: texts that may not be found anywhere but in the directory ``secrets``.
    """

    def __init__(
        self,
        *slaves: str,
        proxied: bool = False,
        env: Mapping[str, str | None] | None = None,
        parent: Path | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="farm-", dir=parent))
        self.master_directory = self.directory / "master"
        self.clients_directory = self.directory / "clients"
        self.witness = self.directory / "witness"
        for directory in (self.master_directory, self.clients_directory, self.witness, self.directory / "home"):
            directory.mkdir()
        given = {**os.environ, **self._environment(), **(env or {})}
        self.env = {name: value for name, value in given.items() if value is not None}
        self.proxy = Proxy() if proxied else None
        self.secret_values: list[str] = []
        self.may_complain = False
        self.slave_options: dict[str, str] = dict.fromkeys(slaves or ("bot1",), "")
        # The parts of master.cfg in order: builders by name, other texts by number.
        self._config: dict[str | int, str] = {}
        self.master = Daemon("master", self.master_directory, self.env, "master.tac", "the master is ready at")
        self.slaves: dict[str, Daemon] = {}
        self._clients: list[Client] = []
        self._mounted: list[Path] = []
        (self.master_directory / "master.tac").write_text(MASTER_TAC)

    def _environment(self) -> dict[str, str]:
        return {
            MARK: str(self.directory),
            "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
            "HOME": str(self.directory / "home"),
            "LC_ALL": "C.UTF-8",
            "WITNESS": str(self.witness),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # Configuration.

    def config(self, text: str) -> Self:
        """
        Add *text* to master.cfg.
        """
        self._config[len(self._config)] = textwrap.dedent(text)
        return self

    def builder(self, name: str, *steps: str, submit: str | None = "", more: str = "") -> Self:
        """
        Add a builder with *steps*: each a Python expression, or else a shell script.  It replaces one of the same name.

        Its `Submit` has the builder's name, and the further arguments *submit*; None: no `Submit`.  *more*: further
        arguments of its BuilderConfig.
        """
        made = ", ".join(
            step if re.match(r"steps\.|[A-Z]\w*\(", step) else f"steps.ShellCommand(command={step!r})" for step in steps
        )
        options = f", {more}" if more else ""
        slaves = "" if "slavenames=" in options else f"slavenames={list(self.slave_options)!r}, "
        text = (
            f"c.setdefault('builders', []).append(util.BuilderConfig(name={name!r}, {slaves}"
            f"factory=util.BuildFactory([{made}]){options}))\n"
        )
        if submit is not None:
            more_of_submit = f", {submit}" if submit else ""
            text += (
                f"c.setdefault('schedulers', []).append("
                f"schedulers.Submit(name={name!r}, builderNames=[{name!r}]{more_of_submit}))\n"
            )
        self._config[name] = text
        return self

    def write_config(self, text: str | None = None, *, without: Sequence[str] = (), more: str = "") -> None:
        """
        Write master.cfg: *text*, or the accumulated configuration, *without* the named builders, and with *more* lines
        at the end.
        """
        if text is None:
            text = self._config_head() + "".join(part for key, part in self._config.items() if key not in without)
        (self.master_directory / "master.cfg").write_text(text + more)

    def _config_head(self) -> str:
        place = f"127.0.0.1:{self.proxy.port}" if self.proxy else "127.0.0.1"
        slaves = ", ".join(f"slave.BuildSlave({name!r}, {options})" for name, options in self.slave_options.items())
        # The tests must not depend on the free space of this machine's disk.
        return f"{WORDS}c['location'] = [{place!r}]\nc['minspace'] = 0\nc['slaves'] = [{slaves}]\n"

    def secret(self, name: str, value: str) -> Self:
        """
        Store a secret in the master's directory ``secrets``.
        """
        directory = self.master_directory / "secrets"
        directory.mkdir(exist_ok=True, mode=0o700)
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(value)
        self.secret_values.append(value)
        return self

    # Processes.

    def start(self) -> Self:
        """
        Start the master and every slave.
        """
        self.write_config()
        self.start_master()
        for name in self.slave_options:
            self.spawn_slave(name)
        for name in self.slave_options:
            self.slaves[name].wait_ready()
        return self

    def start_master(self) -> None:
        """
        Start the master, and wait until it is ready.
        """
        self.master.start()
        if self.proxy:
            self.proxy.target = self.port

    @property
    def port(self) -> int:
        """
        Return the port on which the master listens.
        """
        return int((self.master_directory / "private" / "port").read_text())

    def furl(self, name: str) -> str:
        """
        Return the FURL of a slave or a submission.
        """
        return (self.master_directory / "furls" / f"{name}.furl").read_text().splitlines()[-1]

    def slave_directory(self, name: str, furl: str | None = None) -> Path:
        """
        Return the directory of a slave; create it with the slave's FURL (or *furl*) if it is missing.
        """
        directory = self.directory / name
        if not directory.exists():
            directory.mkdir()
            self.write_slave_tac(name, furl)
        return directory

    def write_slave_tac(self, name: str, furl: str | None = None, *, policy: str = "") -> None:
        """
        Write a slave's slave.tac with its FURL (or *furl*), and the further arguments *policy*.
        """
        tac = self.directory / name / "slave.tac"
        tac.touch(mode=0o600)
        arguments = f"furl={furl or self.furl(name)!r}, {policy}"
        tac.write_text(SLAVE_TAC.format(arguments=arguments))

    def prepared_slave(self, name: str, furl: str | None = None) -> Daemon:
        """
        Return a slave, which may not run yet.  *furl*: replaces the one that the master has for it.
        """
        if name not in self.slaves:
            directory = self.slave_directory(name, furl)
            self.slaves[name] = Daemon(name, directory, self.env, "slave.tac", "attached to the master")
        return self.slaves[name]

    def spawn_slave(self, name: str, furl: str | None = None) -> Daemon:
        """
        Start a slave without waiting.  *furl*: as above.
        """
        self.prepared_slave(name, furl).spawn()
        return self.slaves[name]

    def start_slave(self, name: str = "bot1") -> Daemon:
        """
        Start a slave, and wait until it is attached.
        """
        daemon = self.spawn_slave(name)
        daemon.wait_ready()
        return daemon

    def start_slave_later(self, name: str = "bot1") -> None:
        """
        Start a slave while its master is down, without waiting for the attach.
        """
        self.slaves[name].spawn()

    def kill(self, pid: int) -> None:
        """
        Kill one of the farm's processes with kill -9.
        """
        assert pid in self.processes()
        os.kill(pid, signal.SIGKILL)

    def slave(self, name: str = "bot1") -> Daemon:
        """
        Return a slave's twistd.
        """
        return self.slaves[name]

    def processes(self) -> list[int]:
        """
        Return the pids of all processes of this farm, clients and commands too, by the mark in their environment.
        """
        mark = f"{MARK}={self.directory}\0".encode()
        return [pid for pid in other_pids() if mark in read_proc(pid, "environ") + b"\0"]

    def keepers(self, of: str = "bot1") -> list[int]:
        """
        Return the pids of a slave's keeper, if any; of the master's own slave for "master".
        """
        directory = str(self.directory / "master" / "own" if of == "master" else self.directory / of)

        def is_it(words: Sequence[str]) -> bool:
            return "buildbot_lite.keeper" in words and any(word.startswith(directory) for word in words)

        return [pid for pid in self.processes() if is_it(arguments(pid))]

    def keeper_pid(self, of: str = "bot1") -> int:
        """
        Wait for a slave's keeper; return its pid.
        """
        return until(lambda: self.keepers(of), f"{of} has a keeper")[0]

    # Clients.

    def submit(self, name: str, stdin: bytes | None = None, within: float = PATIENCE) -> Done:
        """
        Submit with ``flappclient run-command``, and wait for the end.
        """
        return self.submitting(name, stdin).wait(within)

    def submitting(self, name: str, stdin: bytes | None = None) -> Client:
        """
        Submit with ``flappclient run-command``, without waiting.
        """
        return self.client("flappclient", "--furlfile", self.private_furl(self.furl(name)), "run-command", stdin=stdin)

    def watch(self, furl: str, within: float = PATIENCE) -> Done:
        """
        Watch with a watch FURL to the end.
        """
        return self.watching(furl).wait(within)

    def watching(self, furl: str) -> Client:
        """
        Watch with a watch FURL, without waiting.
        """
        return self.client("flappclient", "--furlfile", self.private_furl(furl), "run-command")

    def upload(self, name: str, path: Path | str, within: float = PATIENCE) -> Done:
        """
        Submit with ``flappclient upload-file``, and wait for the end.
        """
        return self.uploading(name, path).wait(within)

    def uploading(self, name: str, path: Path | str) -> Client:
        """
        Submit with ``flappclient upload-file``, without waiting.
        """
        furl_file = self.private_furl(self.furl(name))
        return self.client("flappclient", "--furlfile", furl_file, "upload-file", str(path))

    def command(self, *words: str, stdin: bytes | None = None) -> Done:
        """
        Run ``buildbot-lite``.
        """
        return self.client("buildbot-lite", *words, stdin=stdin).wait()

    def client(self, program: str, *words: str, stdin: bytes | None = None) -> Client:
        """
        Start a program of ours or of Foolscap's.
        """
        client = Client([str(BIN / program), *words], self.env, self.clients_directory, stdin)
        self._clients.append(client)
        return client

    def program(self, name: str) -> str:
        """
        Return the path of an installed program.
        """
        return str(BIN / name)

    def private_furl(self, furl: str) -> str:
        """
        Return a file with *furl* in it, for ``--furlfile``: FURLs do not belong into command lines.
        """
        # Clients connect directly, not through the proxy.
        direct = re.sub(r"@tcp:127\.0\.0\.1:\d+[^/]*/", f"@tcp:127.0.0.1:{self.port}/", furl)
        number = len(list(self.clients_directory.iterdir()))
        path = self.clients_directory / f"{number}.furl"
        path.touch(mode=0o600)
        path.write_text(direct + "\n")
        return str(path)

    def run(self, script: str) -> None:
        """
        Run a shell script in the farm's directory.
        """
        subprocess.run(["/bin/sh", "-ec", script], cwd=self.directory, env=self.env, check=True)

    def watch_furl_of(self, builder: str, number: int) -> str:
        """
        Return the watch FURL of a build's request from the records, for a client that ended before it got one.
        """
        ((id_,),) = self.rows(
            "select id from grants where verb = 'watch' and object = (select cast(buildset as text) from"
            " requests join builds on requests.id = builds.request where builds.builder = ? and number = ?)",
            builder,
            number,
        )
        swissnum = swissnums_of(self.master_directory)[id_]
        any_furl = (self.master_directory / "private" / "admin.furl").read_text().split()[-1]
        return f"{any_furl.rpartition('/')[0]}/{swissnum}"

    # Small disks, for root.

    def mount(self, name: str, size: int) -> None:
        """
        Mount an empty disk of *size* bytes at the directory *name*.
        """
        directory = self.directory / name
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory], check=True)
        self._mounted.append(directory)

    def fill(self, name: str, *, leave: int) -> Path:
        """
        Create a file that leaves *leave* bytes free on that disk.
        """
        ballast = self.directory / name / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free(name) - leave)
        return ballast

    def free(self, name: str) -> int:
        """
        Return the free bytes of that disk.
        """
        return shutil.disk_usage(self.directory / name).free

    # Files.

    @property
    def database(self) -> Path:
        """
        Return the path of the database.
        """
        return self.master_directory / "records" / "farm.sqlite"

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """
        Return the result of a query on the database.
        """
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(query, arguments).fetchall()

    @contextmanager
    def locked_records(self) -> Iterator[None]:
        """
        Lock the database from outside, so that the master can write nothing.
        """
        with closing(sqlite3.connect(self.database, timeout=30, isolation_level=None)) as connection:
            connection.execute("begin immediate")
            yield

    def log(self, builder: str, number: int, step: str | None = None, name: str = "stdio") -> bytes:
        """
        Return the bytes of a build's logs: of all, or of one step's.
        """
        found = self.rows(
            "select streams.path from streams join builds on builds.id = streams.build join steps on "
            "steps.build = streams.build and steps.number = streams.step where builds.builder = ? and "
            "builds.number = ? and streams.kind = 'log' and streams.name = ? and steps.name like ? "
            "order by streams.step, streams.ordinal",
            builder, number, name, step or "%",
        )  # fmt: skip
        return b"".join(self.stream(path) for (path,) in found)

    def stream(self, path: str) -> bytes:
        """
        Return the bytes of a stream, compressed or not.
        """
        stream = open_stream(str(self.master_directory / "streams" / path))
        try:
            whole = bytearray()
            while piece := stream.read(len(whole), 4 << 20):
                whole += piece
            return bytes(whole)
        finally:
            stream.close()

    def witnessed(self, name: str = "lines") -> list[str]:
        """
        Return the lines that commands wrote into the file *name* of ``$WITNESS``.
        """
        path = self.witness / name
        return path.read_text().splitlines() if path.exists() else []

    # Cleanup.

    def close(self) -> None:
        """
        Kill all processes, search the files for FURLs and secrets in wrong places, and remove the directory.
        """
        if not self.directory.exists():
            return
        if self.proxy is not None:
            self.proxy.close()
        try:
            self.kill_everything()
            found = leaks_of(self.directory, self.secret_values)
            complaints = [] if self.may_complain else list(self._complaints())
        finally:
            for mounted in reversed(self._mounted):
                subprocess.run(["umount", "--lazy", mounted], check=False)
            shutil.rmtree(self.directory, ignore_errors=True)
        assert not found, "strings or secrets were found where none may be:\n" + "\n".join(found)
        assert not complaints, "something went wrong that nobody foresaw:\n" + "\n".join(complaints)

    def _complaints(self) -> Iterator[str]:
        """
        Return the tracebacks in the logs: expected errors are logged as sentences.  Starts and stops of Twisted's
        factories mean nothing to an admin.
        """
        for path in (*self.directory.glob("*/twistd.*"), *self.directory.glob("**/keeper.log")):
            # twistd cannot log while the disk of its log is full, and logs a traceback about that afterwards.
            text = _START_ON_FULL_DISK.sub("", _LOG_ON_FULL_DISK.sub("", path.read_text(errors="replace")))
            at = min(
                (at for word in ("Traceback", "Unhandled", "Starting factory") if (at := text.find(word)) >= 0),
                default=None,
            )
            if at is not None:
                yield f"{path.relative_to(self.directory)}:\n{text[max(0, at - 300) : at + 3000]}"

    def kill_everything(self) -> None:
        """
        Kill the processes of this farm with kill -9, until none is left.
        """

        def none_left() -> bool:
            for pid in (found := self.processes()):
                kill(pid)
            for daemon in (self.master, *self.slaves.values()):
                daemon.kill()
            for client in self._clients:
                if client.process.poll() is None:
                    client.process.kill()
                    client.process.wait()
            return not found

        until(none_left, "every process of the farm was killed")
