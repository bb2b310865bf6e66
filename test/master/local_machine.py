"""
A step context that executes commands at once in a local directory, for tests of what a program really does.

There is no keeper: nothing is spooled, masked, limited, or kept over a crash.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from buildbot_lite.master.config.artifacts import WantedArtifact
from buildbot_lite.master.slaves.command_streams import Source
from buildbot_lite.master.steps.context import CommandResult
from buildbot_lite.master.steps.step import BuildStep
from buildbot_lite.model.http_request import HttpAnswer, HttpRequest
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.model.properties import Json, Properties
from buildbot_lite.model.rendering import View
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import (
    SECRET_REFERENCE,
    Download,
    MakeDirectory,
    RemoveDirectory,
    Run,
    Spec,
    Upload,
    UploadDirectory,
)
from buildbot_lite.slave.safe_paths import SafePaths


class MemorySource:
    """
    A source in memory.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


class LocalMachine:
    """
    A step context whose slave works in *root*.

    *user*: the numeric user that runs the commands, if not None.  ``specs``: the commands of the steps.  ``remarks``:
    the texts of remarks.
    """

    master_directory = "."
    directory = "builder"
    workdir = "build"

    def __init__(
        self,
        root: str,
        *,
        secrets: Mapping[str, str] | None = None,
        inputs: Mapping[str, bytes] | None = None,
        env: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> None:
        self.root = root
        self._user = user
        self.view = View(Properties(), slave={"name": "bot1"})
        self.specs: list[Spec] = []
        self.remarks: list[str] = []
        self.output = ""
        self._secrets = secrets or {}
        self._inputs = inputs or {}
        self._env = {"PATH": os.environ["PATH"], "HOME": root, **(env or {})}

    def path(self, *parts: str) -> str:
        """
        A path in the builder's directory.
        """
        return os.path.join(self.root, self.directory, *parts)

    def text(self, *parts: str) -> str:
        """
        The contents of a file in the builder's directory.
        """
        with open(self.path(*parts)) as file:
            return file.read()

    def run(self, step: BuildStep) -> Result:
        """
        Run *step* to its end.
        """

        async def prepared() -> Result:
            await step.prepare(self)
            return await step.run()

        found: list[Any] = []
        Deferred.fromCoroutine(prepared()).addBoth(found.append)  # type: ignore[unused-awaitable]  # it has its result
        if not isinstance(found[0], Result):
            found[0].raiseException()
        return Result(found[0])

    async def trigger_each(
        self, wanted: Mapping[str, tuple[str, Mapping[str, Any]]], **options: Any
    ) -> dict[str, Result | None]:
        raise NotImplementedError

    async def render_workdir(self) -> None:
        """
        Nothing is rendered here.
        """

    async def publish(self, artifact: str, destination: str, mode: int | None) -> str | None:
        return "Nothing is copied on this machine."

    async def command(
        self,
        spec: Spec,
        *,
        on_master: bool = False,
        sources: Mapping[str, Source] | None = None,
        artifact: str | None = None,
        on_lost: str | None = None,
        log: str = "stdio",
    ) -> CommandResult:
        self.specs.append(spec)
        if isinstance(spec, Run):
            return self._run(spec, sources or {})
        path = os.path.join(self.root, spec.path)
        match spec:
            case MakeDirectory():
                self._make(path)
            case RemoveDirectory():
                SafePaths(self.root).remove(spec.path)
            case Download():
                data = (sources or {})[spec.name].read(0, spec.size + 1)
                assert hashlib.sha256(data).hexdigest() == spec.sha256
                self._save(path, data, spec)
            case Upload() | UploadDirectory():
                raise NotImplementedError
        return CommandResult(Outcome(Ending.EXITED, exit_code=0), lambda log, limit: b"", lambda log, limit: b"")

    def _save(self, path: str, data: bytes, spec: Download) -> None:
        if spec.unpack:
            os.makedirs(path, exist_ok=True)
            with open(f"{path}.tar", "wb+") as file:
                file.write(data)
            with tarfile.open(f"{path}.tar") as archive:
                archive.extractall(path, filter="data")
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, spec.mode)

    def _make(self, path: str) -> None:
        made = not os.path.isdir(path)
        os.makedirs(path, exist_ok=True)
        if made and self._user is not None:
            os.chown(path, self._user, self._user)

    def _run(self, spec: Run, sources: Mapping[str, Source]) -> CommandResult:
        workdir = os.path.join(self.root, spec.workdir)
        self._make(workdir)
        env = dict(self._env)
        for name, value in spec.env.items():
            env.pop(name, None)
            if value is not None:
                env[name] = self._filled(value)
        private = os.path.join(self.root, "private files")
        shutil.rmtree(private, ignore_errors=True)
        os.makedirs(private)
        for name, contents in spec.files.items():
            env[name] = os.path.join(private, name)
            with open(os.open(env[name], os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(self._filled(contents))
        argv = ["/bin/sh", "-c", spec.script] if spec.script is not None else list(spec.argv)
        stdin = (
            sources[spec.stdin_input].read(0, 1 << 30) if spec.stdin_input else self._filled(spec.stdin or "").encode()
        )
        done = subprocess.run(
            [self._filled(part) for part in argv],
            cwd=workdir,
            env=env,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=300,
            user=self._user,
            group=self._user,
        )
        shutil.rmtree(private)
        self.output += done.stdout.decode("utf-8", "replace")
        return CommandResult(
            Outcome(Ending.EXITED, exit_code=done.returncode),
            lambda log, limit: done.stdout[:limit],
            lambda log, limit: done.stdout[-limit:],
        )

    def _filled(self, text: str) -> str:
        return re.sub(SECRET_REFERENCE, lambda match: self._secrets[match[1]], text)

    def write(self, log: str, text: str) -> None:
        self.output += text

    def remark(self, text: str, log: str = "stdio") -> None:
        self.remarks.append(text)

    async def others_turn(self) -> None:
        """
        Nothing else is there.
        """

    async def look_through(
        self, parts: Iterable[Any], look: Callable[[Any], list[Any]], *, seconds: float
    ) -> tuple[list[Any], bool]:
        return [each for part in parts for each in look(part)], True

    def deferred(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(work)

    def add_steps(self, recipes: Iterable[Any], *, last: bool) -> None:
        raise AssertionError("A step on this machine is alone; it cannot add others.")

    def input(self, name: str) -> tuple[Source, int, str] | None:
        data = self._inputs.get(name)
        return None if data is None else (MemorySource(data), len(data), hashlib.sha256(data).hexdigest())

    async def trigger(
        self, names: list[str], properties: Mapping[str, Json], *, wait: bool, **more: Any
    ) -> dict[str, Result | None]:
        raise NotImplementedError

    def check_trusted(self, effect: str) -> None:
        pass

    async def artifact(self, wanted: WantedArtifact) -> Mapping[str, Any]:
        raise NotImplementedError

    async def http(self, request: HttpRequest) -> HttpAnswer:
        raise NotImplementedError

    async def now(self) -> float:
        raise NotImplementedError

    async def random(self, size: int) -> bytes:
        raise NotImplementedError

    async def record(self, what: str, intent: Json, ask: Any, *, repeatable: bool) -> Json:
        return await ask()
