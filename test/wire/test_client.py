"""
The client of submissions, also with masters that exceed the bounds.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any
from unittest import mock

from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.defer import CancelledError, Deferred

from buildbot_lite.errors import InputError, MessageError, NoAnswerError, RefusedError
from buildbot_lite.model.display import printable
from buildbot_lite.model.patch_base import PatchBase
from buildbot_lite.wire import client as client_module
from buildbot_lite.wire.client import SubmitClient, ask
from buildbot_lite.wire.exposed import Revocable
from buildbot_lite.wire.flapp import FlappService
from buildbot_lite.wire.flapp_roles import StdinFeed, Watcher
from buildbot_lite.wire.furl import Furl

from .test_flapp import PrintingSubmission
from .test_roles import failing
from .tub_case import SWISSNUM, TubTestCase, until, with_reactor


class PatchSubmission(PrintingSubmission):
    """
    A `PrintingSubmission` that takes patches and other files.
    """

    options: Mapping[str, Any] | None = None

    def submit_file(self, watcher: Watcher, options: Mapping[str, Any] | None = None) -> Deferred[StdinFeed | None]:
        self.options = options
        return self.execute(watcher)

    def submit_patch(self, watcher: Watcher, base: PatchBase) -> Deferred[StdinFeed | None]:
        return self.execute(watcher)


class SubmitPatchTests(TubTestCase):
    def client(self, submission: PatchSubmission) -> SubmitClient:
        """
        A client of *submission*.
        """
        tub, listener = self.listening({SWISSNUM: FlappService(submission, Revocable())}.get)
        client = SubmitClient(reactor, self.furl(tub, listener))
        client.start()
        self.addCleanup(client.stop)
        return client

    @with_reactor
    async def test_submitted(self) -> None:
        """
        The whole patch arrives, from the beginning of its file, and the answer is returned.
        """
        submission = PatchSubmission([b'{"watch":', b'"x"}'], stdin=True)
        patch = BytesIO(b"p" * 600_000)
        patch.read()
        answer = await self.client(submission).submit_patch(patch, PatchBase())
        self.assertEqual((answer, submission.fed, submission.closed), ({"watch": "x"}, patch.getvalue(), 1))

    @with_reactor
    async def test_file(self) -> None:
        """
        Any other file is submitted in the same way.
        """
        submission = PatchSubmission([b'{"watch":', b'"x"}'], stdin=True)
        file = BytesIO(b"p" * 600_000)
        answer = await self.client(submission).submit_file(file)
        self.assertEqual((answer, submission.fed, submission.closed), ({"watch": "x"}, file.getvalue(), 1))
        self.assertIsNone(submission.options)
        await self.client(submission).submit_file(file, {"scratch": True})
        self.assertEqual(submission.options, {"scratch": True})

    @with_reactor
    async def test_endless_answer(self) -> None:
        """
        An answer that exceeds its bound ends the submission at once, with an error; no more of the answer is kept.
        """
        submission = PatchSubmission([b"x" * 60, b"x" * 60])
        client = self.client(submission)
        with mock.patch.object(client_module, "LARGEST_ANSWER", 100):
            error = await failing(client.submit_patch(BytesIO(b"patch"), PatchBase()))
        self.assertIsInstance(error, MessageError)
        self.assertIn("more than 100 bytes", str(error))
        await until(lambda: submission.error is not None)

    @with_reactor
    async def test_refused(self) -> None:
        """
        When the master refuses the patch, the error is the master's sentence.
        """
        error = await failing(self.client(PatchSubmission([], code=2)).submit_patch(BytesIO(b"patch"), PatchBase()))
        self.assertIsInstance(error, RefusedError)
        self.assertEqual(str(error), "request 1")

    @with_reactor
    async def test_refused_file(self) -> None:
        """
        Promise 6.13: a file that the master cannot use is another error than a submission that is not permitted; an
        answer that says nothing of that, or is none, is a refusal.
        """
        for answer, kind in (
            ([b'{"refused_input": true}'], InputError),
            ([b'{"refused_input": 7}'], RefusedError),
            ([b"[]"], RefusedError),
            ([], RefusedError),
        ):
            error = await failing(self.client(PatchSubmission(answer, code=2)).submit_file(BytesIO(b"file")))
            self.assertEqual((type(error), str(error)), (kind, "request 1"))

    @with_reactor
    async def test_long_refusal(self) -> None:
        """
        The longest sentence that the master writes arrives whole, in whatever script.
        """

        class Refusing(PatchSubmission):
            async def _print(self) -> None:
                assert self.watcher is not None
                await self.watcher.stderr(f"{printable('д' * 3000)}\n".encode())
                await self.watcher.done(2)

        error = await failing(self.client(Refusing([])).submit_patch(BytesIO(b"patch"), PatchBase()))
        self.assertIsInstance(error, RefusedError)
        self.assertEqual(str(error), f"{'д' * 1999}…")


class UnusableAddressTests(TubTestCase):
    @with_reactor
    async def test_given_up(self) -> None:
        """
        Whoever gives up an attempt to connect is not told that no master answers.
        """
        client = SubmitClient(reactor, str(Furl("a" * 32, ("tcp:127.0.0.1:1",), SWISSNUM)))
        client.start()
        self.addCleanup(client.stop)
        submitting = Deferred.fromCoroutine(client.submit(BytesIO(b"x"), lambda chunk: None))
        submitting.cancel()
        self.assertIsInstance(await failing(submitting), CancelledError)

    @with_reactor
    async def test_kind_of_address(self) -> None:
        """
        Of a string whose only address is of a kind that this program has no plugin for, the sentence says that.
        """
        tub, _ = self.listening({SWISSNUM: FlappService(PatchSubmission([]), Revocable())}.get)
        furl = str(Furl(tub.tub_id, ("i2p:master.i2p:9989",), SWISSNUM))
        error = await failing(ask(reactor, furl, {"ask": "status"}))
        self.assertIsInstance(error, NoAnswerError)
        self.assertIn(
            "at i2p:master.i2p:9989: this program knows no way to such an address, only to tcp:HOST:PORT.", str(error)
        )
