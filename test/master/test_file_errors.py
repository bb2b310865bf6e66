"""
What a build does when the master cannot write or read one of its files.
"""

import errno
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, RefusedError
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.storage.files import file_error
from buildbot_lite.storage.records import remarks, steps
from buildbot_lite.wire.roles import LATER

from .stage import (
    FakeSlave,
    Given,
    Stage,
)

SHELL = """
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([
    steps.ShellCommand(name="one", command=["run"], haltOnFailure=True),
]))]
c["schedulers"] = [schedulers.Submit("go", ["b"])]
"""
UPLOAD = SHELL.replace(
    'steps.ShellCommand(name="one", command=["run"], haltOnFailure=True)', 'steps.FileUpload("f", "report/f")'
)
DOWNLOAD = SHELL.replace(
    'steps.ShellCommand(name="one", command=["run"], haltOnFailure=True)', 'steps.StringDownload("text", "f")'
)
WRITING = """
class Writing(steps.BuildStep):
    async def run(self):
        self.bench.write("notes", "some text")
        return util.SUCCESS
""" + SHELL.replace('steps.ShellCommand(name="one", command=["run"], haltOnFailure=True)', "Writing()")

BROKEN = (errno.EMFILE, errno.EIO, errno.EACCES, errno.EROFS, errno.ENFILE, errno.ENODEV, errno.ESTALE)
REFUSED = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)


def raising(code: int) -> Callable[..., Any]:
    """
    A system call that fails with *code*.
    """

    def call(*args: Any, **more: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


class FileErrorTests(SynchronousTestCase):
    """
    Promise 6.6: an error of the file system on one file ends the step, with one sentence, and never hangs the build.
    """

    def begin(self, text: str) -> tuple[Stage, FakeSlave, int]:
        """
        A farm whose build has been given to its slave.
        """
        stage = Stage(text)
        bot = stage.attach()
        return stage, bot, stage.submit()

    def summary(self, stage: Stage, request: int) -> str:
        """
        What the first step of the build says of itself.
        """
        build = stage.builds(request)[-1]
        row: steps.Step = stage.read(lambda connection: steps.of_build(connection, build.id))[0]
        return row.summary

    def append(self, given: Given, stream: str = "stdio") -> list[Any]:
        """
        Have the slave send some bytes; the list gets the master's answer.
        """
        answers: list[Any] = []
        _ = given.command.append(stream, 0, b"some bytes").addBoth(answers.append)
        return answers

    def ended(self, stage: Stage, bot: FakeSlave, request: int, result: Result) -> str:
        """
        The build has that result, and its slave was told to forget the command; answers what the step says.
        """
        stage.settle(1)
        self.assertEqual(stage.request(request).result, result)
        self.assertEqual(bot.disowned, [bot.given[0].id])
        self.assertEqual(list(stage.farm.slaves.session("bot1").live_ids), [])
        return self.summary(stage, request)

    def test_log(self) -> None:
        """
        Promise 6.6: a log that cannot be written ends its step as EXCEPTION; the command is disowned.
        """
        for code in BROKEN:
            stage, bot, request = self.begin(SHELL)
            with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(code)):
                (answer,) = self.append(bot.given[0])
            answer.trap(RefusedError)
            self.assertEqual(
                self.ended(stage, bot, request, Result.EXCEPTION),
                f"The log stdio cannot be stored on the master: {os.strerror(code)}.",
            )
            (answer,) = self.append(bot.given[0])
            answer.trap(RefusedError)

    def test_directory(self) -> None:
        """
        Promise 6.6: so does one whose directory cannot be made, or is a link to a disk that is not there.
        """
        for code in BROKEN:
            stage, bot, request = self.begin(SHELL)
            with mock.patch("buildbot_lite.storage.files.os.mkdir", raising(code)):
                self.append(bot.given[0])
            self.assertIn(os.strerror(code), self.ended(stage, bot, request, Result.EXCEPTION))
        for text, directory, stream in ((SHELL, "streams", "stdio"), (UPLOAD, "artifacts", "artifact")):
            stage, bot, request = self.begin(text)
            os.symlink("/nonexistent/disk", os.path.join(stage.basedir, directory))
            self.append(bot.given[0], stream)
            said = self.ended(stage, bot, request, Result.EXCEPTION)
            self.assertIn(f"its directory {directory} is a link that leads nowhere", said)

    def test_artifact(self) -> None:
        """
        Promise 6.6: an artifact that cannot be written is EXCEPTION; one whose name the file system refuses is the
        step's mistake, FAILURE.
        """
        for code, result in [(code, Result.EXCEPTION) for code in BROKEN] + [
            (code, Result.FAILURE) for code in REFUSED
        ]:
            stage, bot, request = self.begin(UPLOAD)
            with mock.patch("buildbot_lite.storage.streams.os.open", raising(code)):
                self.append(bot.given[0], "artifact")
            said = self.ended(stage, bot, request, result)
            self.assertEqual(said, f"The artifact report/f cannot be stored on the master: {os.strerror(code)}.")

    def test_refused_names(self) -> None:
        """
        Promise 6.22: the same with a real file system: a name that is too long, below a file, and where a directory is.
        """
        for name, before in (("n" * 241, None), ("f/g", "f"), ("d", "d/e")):
            stage, bot, request = self.begin(UPLOAD.replace("report/f", name))
            if before is not None:
                path = os.path.join(stage.basedir, "artifacts", "b", "1", before)
                os.makedirs(os.path.dirname(path))
                with open(path, "wb"):
                    pass
            self.append(bot.given[0], "artifact")
            bot.given[0].end(streams={"artifact": b"some bytes"})
            said = self.ended(stage, bot, request, Result.FAILURE)
            self.assertTrue(said.startswith(f"The artifact {name} cannot be stored on the master: "), said)

    def test_sealing(self) -> None:
        """
        Promise 6.6: bytes that cannot be brought to the disk at the end are no result, and no hang either.
        """
        for call in ("os.fdatasync", "os.rename"):
            for code in BROKEN:
                stage, bot, request = self.begin(UPLOAD)
                self.append(bot.given[0], "artifact")
                module = "artifacts" if call == "os.rename" else "streams"
                with mock.patch(f"buildbot_lite.storage.{module}.{call}", raising(code)):
                    answers = bot.given[0].end(streams={"artifact": b"some bytes"})
                self.assertIn(os.strerror(code), self.ended(stage, bot, request, Result.EXCEPTION))
                self.assertEqual(answers, [()])

    def test_attaching(self) -> None:
        """
        Promise 6.6: a log whose directory cannot be read when the slave is back ends its own build; the slave attaches.
        """
        stage, bot, request = self.begin(SHELL)
        self.append(bot.given[0])
        bot.lose()
        again = FakeSlave()
        with mock.patch("buildbot_lite.master.builds.streams.os.listdir", raising(errno.EMFILE)):
            stage.attach(slave=again, held=bot.held())
        self.assertEqual(again.resumed, [])
        stage.settle(1)
        self.assertEqual(stage.request(request).result, Result.EXCEPTION)
        self.assertEqual(again.disowned, [bot.given[0].id])
        self.assertIsNotNone(stage.farm.slaves["bot1"].session.hello)

    def test_reading(self) -> None:
        """
        Promise 6.6: what a command is to get and the master cannot read ends it as well.
        """
        stage, bot, request = self.begin(DOWNLOAD)
        unreadable = file_error(OSError(errno.EIO, "Input/output error"), "file f", cannot="be read")
        with mock.patch("buildbot_lite.master.steps.transfer._Text.read", side_effect=unreadable):
            answers: list[Any] = []
            _ = bot.given[0].command.read("text", 0, 10).addBoth(answers.append)
        answers[0].trap(RefusedError)
        self.assertIn("cannot be read on the master", self.ended(stage, bot, request, Result.EXCEPTION))

    def test_text_of_a_step(self) -> None:
        """
        Promise 6.6: text that a step writes itself and that cannot be stored ends the step, too.
        """
        for code in (*BROKEN, errno.ENOSPC):
            with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(code)):
                stage, bot, request = self.begin(WRITING)
            stage.settle(1)
            self.assertEqual(bot.given, [])
            self.assertEqual(stage.request(request).result, Result.EXCEPTION)
            self.assertIn("log notes", self.summary(stage, request))

    def test_text_read_back(self) -> None:
        """
        Promise 6.6: text of a step that cannot be read back for its checksum is said in a remark; the build ends.
        """
        with mock.patch("buildbot_lite.storage.streams.os.pread", raising(errno.EIO)):
            stage, _, request = self.begin(WRITING)
        self.assertEqual(stage.request(request).result, Result.SUCCESS)
        build = stage.builds(request)[-1]
        said = stage.read(lambda connection: remarks.of_step(connection, build.id, 0))
        self.assertIn("cannot be read", " ".join(remark.text for remark in said))

    def test_full(self) -> None:
        """
        Promise 6.6: a full disk is another matter: the same is sent again later, also at the end.
        """
        stage, bot, request = self.begin(SHELL)
        full = mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.ENOSPC))
        with full:
            self.assertEqual(self.append(bot.given[0]), [LATER])
        self.assertEqual(self.append(bot.given[0]), [10])
        with mock.patch("buildbot_lite.storage.streams.os.fdatasync", raising(errno.ENOSPC)):
            (answer,) = bot.given[0].end(streams={"stdio": b"some bytes"})
        answer.trap(BuildbotLiteError)
        self.assertEqual(bot.given[0].end(streams={"stdio": b"some bytes"}), [()])
        self.assertEqual(stage.request(request).result, Result.SUCCESS)
        self.assertEqual(bot.disowned, [])

    def test_others_go_on(self) -> None:
        """
        Promise 6.6: the next build on the same slave is none the worse.
        """
        stage, bot, _ = self.begin(SHELL)
        with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.EIO)):
            self.append(bot.given[0])
        stage.settle(1)
        second = stage.submit()
        self.assertIsInstance(bot.given[1].spec, Run)
        self.assertEqual(self.append(bot.given[1]), [10])
        bot.given[1].end(streams={"stdio": b"some bytes"})
        self.assertEqual(stage.request(second).result, Result.SUCCESS)
