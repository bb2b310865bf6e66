"""
Builds whose files the master cannot write or read.
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

from .configurations import master_cfg
from .harness import (
    FakeSlave,
    MasterHarness,
    StartedCommand,
)

SHELL = master_cfg(steps=['steps.ShellCommand(name="one", command=["run"], haltOnFailure=True)'])
UPLOAD = master_cfg(steps=['steps.FileUpload("f", "report/f")'])
DOWNLOAD = master_cfg(steps=['steps.StringDownload("text", "f")'])
WRITING = """
class Writing(steps.BuildStep):
    async def run(self):
        self.bench.write("notes", "some text")
        return util.SUCCESS
""" + master_cfg(steps=["Writing()"])

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
    Promise 6.6: an error of the file system on one file ends the step with one sentence, and never hangs the build.
    """

    def begin(self, text: str) -> tuple[MasterHarness, FakeSlave, int]:
        """
        A farm whose build has started a command on its slave.
        """
        harness = MasterHarness(text)
        bot = harness.attach()
        return harness, bot, harness.submit()

    def summary(self, harness: MasterHarness, request: int) -> str:
        """
        The summary of the build's first step.
        """
        build = harness.builds(request)[-1]
        row: steps.Step = harness.read(lambda connection: steps.of_build(connection, build.id))[0]
        return row.summary

    def append(self, started: StartedCommand, stream: str = "stdio") -> list[Any]:
        """
        Have the slave append some bytes.  The returned list receives the master's answer.
        """
        answers: list[Any] = []
        _ = started.command.append(stream, 0, b"some bytes").addBoth(answers.append)
        return answers

    def ended(self, harness: MasterHarness, bot: FakeSlave, request: int, result: Result) -> str:
        """
        The build has ended with *result*, and its slave was told to disown the command.  Return the summary of the
        step.
        """
        harness.settle(1)
        self.assertEqual(harness.request(request).result, result)
        self.assertEqual(bot.disowned, [bot.commands[0].id])
        self.assertEqual(list(harness.farm.slaves.session("bot1").live_ids), [])
        return self.summary(harness, request)

    def test_log(self) -> None:
        """
        Promise 6.6: a log that cannot be written ends its step with EXCEPTION; the command is disowned.
        """
        for code in BROKEN:
            harness, bot, request = self.begin(SHELL)
            with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(code)):
                (answer,) = self.append(bot.commands[0])
            answer.trap(RefusedError)
            self.assertEqual(
                self.ended(harness, bot, request, Result.EXCEPTION),
                f"The log stdio cannot be stored on the master: {os.strerror(code)}.",
            )
            (answer,) = self.append(bot.commands[0])
            answer.trap(RefusedError)

    def test_directory(self) -> None:
        """
        Promise 6.6: a log or an artifact whose directory cannot be created, or is a dangling link, ends its step with
        EXCEPTION.
        """
        for code in BROKEN:
            harness, bot, request = self.begin(SHELL)
            with mock.patch("buildbot_lite.storage.files.os.mkdir", raising(code)):
                self.append(bot.commands[0])
            self.assertIn(os.strerror(code), self.ended(harness, bot, request, Result.EXCEPTION))
        for text, directory, stream in ((SHELL, "streams", "stdio"), (UPLOAD, "artifacts", "artifact")):
            harness, bot, request = self.begin(text)
            os.symlink("/nonexistent/disk", os.path.join(harness.basedir, directory))
            self.append(bot.commands[0], stream)
            said = self.ended(harness, bot, request, Result.EXCEPTION)
            self.assertIn(f"its directory {directory} is a link that leads nowhere", said)

    def test_artifact(self) -> None:
        """
        Promise 6.6: an artifact that cannot be written ends its step with EXCEPTION; a name that the file system
        refuses is a mistake of the step: FAILURE.
        """
        for code, result in [(code, Result.EXCEPTION) for code in BROKEN] + [
            (code, Result.FAILURE) for code in REFUSED
        ]:
            harness, bot, request = self.begin(UPLOAD)
            with mock.patch("buildbot_lite.storage.streams.os.open", raising(code)):
                self.append(bot.commands[0], "artifact")
            said = self.ended(harness, bot, request, result)
            self.assertEqual(said, f"The artifact report/f cannot be stored on the master: {os.strerror(code)}.")

    def test_refused_names(self) -> None:
        """
        Promise 6.22: a real file system refuses a name that is too long, below a file, or a directory: FAILURE.
        """
        for name, before in (("n" * 241, None), ("f/g", "f"), ("d", "d/e")):
            harness, bot, request = self.begin(master_cfg(steps=[f'steps.FileUpload("f", "{name}")']))
            if before is not None:
                path = os.path.join(harness.basedir, "artifacts", "b", "1", before)
                os.makedirs(os.path.dirname(path))
                with open(path, "wb"):
                    pass
            self.append(bot.commands[0], "artifact")
            bot.commands[0].end(streams={"artifact": b"some bytes"})
            said = self.ended(harness, bot, request, Result.FAILURE)
            self.assertTrue(said.startswith(f"The artifact {name} cannot be stored on the master: "), said)

    def test_sealing(self) -> None:
        """
        Promise 6.6: a stream that cannot be flushed or renamed at its end ends the step with EXCEPTION, and the slave
        gets its answer.
        """
        for call in ("os.fdatasync", "os.rename"):
            for code in BROKEN:
                harness, bot, request = self.begin(UPLOAD)
                self.append(bot.commands[0], "artifact")
                module = "artifacts" if call == "os.rename" else "streams"
                with mock.patch(f"buildbot_lite.storage.{module}.{call}", raising(code)):
                    answers = bot.commands[0].end(streams={"artifact": b"some bytes"})
                self.assertIn(os.strerror(code), self.ended(harness, bot, request, Result.EXCEPTION))
                self.assertEqual(answers, [()])

    def test_early_sync(self) -> None:
        """
        Promise 7.6: a log, or an artifact, of which an early sync failed ends its step with EXCEPTION, although the
        disk has recovered since.
        """
        for text, stream, what in ((SHELL, "stdio", "log stdio"), (UPLOAD, "artifact", "artifact report/f")):
            for code in (errno.EIO, errno.ENOSPC):
                harness, bot, request = self.begin(text)
                with (
                    mock.patch("buildbot_lite.storage.early_sync.UNSYNCED", 1),
                    mock.patch("buildbot_lite.storage.streams.os.fdatasync", raising(code)),
                ):
                    (length,) = self.append(bot.commands[0], stream)
                self.assertEqual(length, len("some bytes"))
                bot.commands[0].end(streams={stream: b"some bytes"})
                self.assertEqual(
                    self.ended(harness, bot, request, Result.EXCEPTION),
                    f"The {what} cannot be stored on the master: {os.strerror(code)}.",
                )

    def test_attaching(self) -> None:
        """
        Promise 6.6: a log whose directory cannot be read when the slave reattaches ends its own build; the slave
        attaches.
        """
        harness, bot, request = self.begin(SHELL)
        self.append(bot.commands[0])
        bot.lose()
        again = FakeSlave()
        with mock.patch("buildbot_lite.master.builds.streams.os.listdir", raising(errno.EMFILE)):
            harness.attach(slave=again, held=bot.held())
        self.assertEqual(again.resumed, [])
        harness.settle(1)
        self.assertEqual(harness.request(request).result, Result.EXCEPTION)
        self.assertEqual(again.disowned, [bot.commands[0].id])
        self.assertIsNotNone(harness.farm.slaves["bot1"].session.hello)

    def test_reading(self) -> None:
        """
        Promise 6.6: an input of a command that the master cannot read ends its step with EXCEPTION.
        """
        harness, bot, request = self.begin(DOWNLOAD)
        unreadable = file_error(OSError(errno.EIO, "Input/output error"), "file f", cannot="be read")
        with mock.patch("buildbot_lite.master.steps.download_sources.TextSource.read", side_effect=unreadable):
            answers: list[Any] = []
            _ = bot.commands[0].command.read("text", 0, 10).addBoth(answers.append)
        answers[0].trap(RefusedError)
        self.assertIn("cannot be read on the master", self.ended(harness, bot, request, Result.EXCEPTION))

    def test_text_of_a_step(self) -> None:
        """
        Promise 6.6: text of a step that the master cannot store ends the step with EXCEPTION.
        """
        for code in (*BROKEN, errno.ENOSPC):
            with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(code)):
                harness, bot, request = self.begin(WRITING)
            harness.settle(1)
            self.assertEqual(bot.commands, [])
            self.assertEqual(harness.request(request).result, Result.EXCEPTION)
            self.assertIn("log notes", self.summary(harness, request))

    def test_text_read_back(self) -> None:
        """
        Promise 6.6: if text of a step cannot be read back for its checksum, a remark says so, and the build ends
        normally.
        """
        with mock.patch("buildbot_lite.storage.streams.os.pread", raising(errno.EIO)):
            harness, _, request = self.begin(WRITING)
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        build = harness.builds(request)[-1]
        said = harness.read(lambda connection: remarks.of_step(connection, build.id, 0))
        self.assertIn("cannot be read", " ".join(remark.text for remark in said))

    def test_full(self) -> None:
        """
        Promise 6.6: when the disk is full, the slave is asked to send the same bytes later, also at the end of the
        command.
        """
        harness, bot, request = self.begin(SHELL)
        full = mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.ENOSPC))
        with full:
            self.assertEqual(self.append(bot.commands[0]), [LATER])
        self.assertEqual(self.append(bot.commands[0]), [10])
        with mock.patch("buildbot_lite.storage.streams.os.fdatasync", raising(errno.ENOSPC)):
            (answer,) = bot.commands[0].end(streams={"stdio": b"some bytes"})
        answer.trap(BuildbotLiteError)
        self.assertEqual(bot.commands[0].end(streams={"stdio": b"some bytes"}), [()])
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
        self.assertEqual(bot.disowned, [])

    def test_next_build(self) -> None:
        """
        Promise 6.6: after a failed build, the next build on the same slave works.
        """
        harness, bot, _ = self.begin(SHELL)
        with mock.patch("buildbot_lite.storage.streams.os.pwrite", raising(errno.EIO)):
            self.append(bot.commands[0])
        harness.settle(1)
        second = harness.submit()
        self.assertIsInstance(bot.commands[1].spec, Run)
        self.assertEqual(self.append(bot.commands[1]), [10])
        bot.commands[1].end(streams={"stdio": b"some bytes"})
        self.assertEqual(harness.request(second).result, Result.SUCCESS)
