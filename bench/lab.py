"""
A farm of real processes for one measurement: a master and slaves under the stock twistd, in their own directory.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import proc

BENCH = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

MASTER_TAC = """\
import sys
sys.path.insert(0, {bench!r})
from buildbot_lite.master_tap import application_for
application = application_for(__file__)
from inside import beside
beside(application, {socket!r})
"""
SLAVE_TAC = """\
from buildbot_lite.slave_tap import application_for
application = application_for(furl={furl!r})
"""
WEB_TAC = """\
from buildbot_lite.web_tap import application_for
application = application_for()
"""
CONFIG = """\
from buildbot_lite.plugins import schedulers, slave, steps, util
c = BuildmasterConfig = {{}}
names = {names!r}
c["slaves"] = [slave.BuildSlave(name, max_builds={max_builds}) for name in names]
c["location"] = ["127.0.0.1"]
def SH(command, **more):
    return steps.ShellCommand(command=command, logMaxSize=None, **more)
c["builders"] = [
    util.BuilderConfig(name=name, slavenames=names, factory=util.BuildFactory(what), concurrent=True)
    for name, what in {builders}.items()
]
c["schedulers"] = [schedulers.ForceScheduler(name="force", builderNames=[b.name for b in c["builders"]])]
c["schedulers"] += [schedulers.Submit(name=b.name, builderNames=[b.name]) for b in c["builders"]]
"""


class Lab:
    """
    *builders*: the text of a dict of name → steps.  *slaves*: how many, or their names.  *profile*: for the master.
    *more*: text that is added to master.cfg.  *web*: there is a directory for a web process.
    """

    def __init__(
        self,
        work,
        builders,
        *,
        slaves=1,
        max_builds=4,
        start_slaves=True,
        database=None,
        profile=None,
        more="",
        web=False,
    ):
        self.directory = Path(work) / "runs" / f"farm-{os.getpid()}-{time.monotonic_ns() % 10**9}"
        self.master = self.directory / "farm"
        self.master.mkdir(parents=True)
        # The path of a UNIX socket has at most 107 bytes (unix(7)).
        self.socket = f"/tmp/bench-{os.getpid()}-{time.monotonic_ns() % 10**9}.sock"
        self.names = [f"w{n}" for n in range(slaves)] if isinstance(slaves, int) else slaves
        config = CONFIG.format(names=self.names, max_builds=max_builds, builders=builders) + more
        (self.master / "master.cfg").write_text(config)
        (self.master / "master.tac").write_text(MASTER_TAC.format(bench=str(BENCH), socket=self.socket))
        if web:
            (self.master / "web").mkdir()
            (self.master / "web" / "web.tac").write_text(WEB_TAC)
        if database is not None:
            (self.master / "records").mkdir(mode=0o700)
            shutil.copy(database, self.master / "records" / "farm.sqlite")
        self._processes = []
        self.slave_pids = {}
        try:
            began = time.monotonic()
            options = ["--profile", profile, "--savestats", "--profiler", "cprofile"] if profile else []
            self.master_process = self._twistd(self.master, "master.tac", *options)
            self.master_pid = self.master_process.pid
            self._until(lambda: self.call("ping")["ok"], self.master)
            self.master_start_s = time.monotonic() - began
            if start_slaves:
                began = time.monotonic()
                for name in self.names:
                    self.start_slave(name)
                self._until(lambda: self.call("slaves")["connected"] == len(self.names), self.directory / self.names[0])
                self.slaves_start_s = time.monotonic() - began
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def furls(self):
        """
        Return the slaves' names and FURLs.
        """
        text = (self.master / "buildslave.furls").read_text()
        return dict(re.findall(r"^(\w+) (pb://\S+)$", text, re.MULTILINE))

    def start_slave(self, name):
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / "slave.tac").write_text(SLAVE_TAC.format(furl=self.furls()[name]))
        self.slave_pids[name] = self._twistd(directory, "slave.tac").pid

    def start_web(self):
        """
        Start the web process; return its address when it answers.
        """
        directory = self.master / "web"
        self.web_pid = self._twistd(directory, "web.tac").pid
        self._until(lambda: (directory / "address").read_text().strip(), directory)
        address = (directory / "address").read_text().strip()
        self._until(lambda: urlopen(address, timeout=60).status == 200, directory)
        return address

    def keeper_pid(self, name="w0"):
        (pid,) = proc.processes_with("buildbot_lite.keeper", str(self.directory / name))
        return pid

    def call(self, cmd, **arguments):
        """
        Send a request to the service in the master's process.
        """
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(1800)
            line.connect(self.socket)
            line.sendall(json.dumps({"cmd": cmd, **arguments}).encode() + b"\n")
            answer = b"".join(iter(lambda: line.recv(1 << 16), b""))
        document = json.loads(answer)
        if "error" in document:
            raise RuntimeError(document["error"])
        return document

    def submit(self, builder, n=1):
        """
        Submit *n* builds; return the seconds from the submission to the last result, in the master.
        """
        answer = self.call("submit", builder=builder, n=n)
        if answer["results"] != [0] * n:
            raise RuntimeError(f"builds failed: {answer['results']}\n{self._log(self.master)}")
        return answer["wall_s"]

    def client(self, *arguments):
        """
        Run client.py; return its figures.
        """
        command = [sys.executable, str(BENCH / "client.py"), *map(str, arguments)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def furl_file(self, name):
        return self.master / "furls" / f"{name}.furl"

    def stop(self):
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if process.args.count("--profile") else signal.SIGKILL)
        for process in self._processes:
            process.wait(60)
        # Keepers outlive their slaves; their command lines name this directory.
        for pid in proc.processes_with("buildbot_lite.keeper", str(self.directory)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(FileNotFoundError):
            os.unlink(self.socket)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _twistd(self, directory, tac, *options):
        command = [str(BIN / "twistd"), *options, "--nodaemon", "--no_save", "--pidfile=", "-y", tac]
        with (directory / "twistd.out").open("ab") as out:
            process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=out, start_new_session=True)
        self._processes.append(process)
        return process

    def _until(self, condition, directory):
        deadline = time.monotonic() + 120
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError, ValueError, HTTPError):
                if condition():
                    return
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"it did not start:\n{self._log(directory)}")
            time.sleep(0.01)

    def _log(self, directory):
        return "".join(path.read_text(errors="replace")[-3000:] for path in directory.glob("twistd.*"))
