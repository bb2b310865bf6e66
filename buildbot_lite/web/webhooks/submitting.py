"""
Submission of webhooks with the string of the moment.
"""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...errors import NoAnswerError
from ...wire.client import SubmitClient, Submittable, Take


class Submitting:
    """
    Passes webhooks to the master, over one connection.  *certificate*: the web process's own (PEM).
    """

    def __init__(self, reactor: IReactorTime, certificate: bytes) -> None:
        self._reactor = reactor
        self._certificate = certificate
        self._client: SubmitClient | None = None
        self._changing: Deferred[None] = succeed(None)
        self._log = Logger()

    def use(self, furl: str | None) -> None:
        """
        Submit with *furl* from now on; what is under way with the former string is cut.  None: there is no string.
        """
        former = self._client
        self._client = None if furl is None else SubmitClient(self._reactor, furl, self._certificate)
        changing = self._change(self._changing, former, self._client)
        self._changing = Deferred.fromCoroutine(changing).addErrback(
            lambda failure: self._log.failure("changing the string for webhooks", failure=failure)
        )

    def stop(self) -> Deferred[None]:
        """
        Cut the connection.
        """
        self.use(None)
        return self._changing

    async def submit(self, data: Submittable, take: Take) -> int:
        """
        As `SubmitClient.submit`; `NoAnswerError` also while there is no string.
        """
        if self._client is None:
            raise NoAnswerError("The master has not written a string for webhooks yet.")
        return await self._client.submit(data, take)

    async def _change(self, before: Deferred[None], former: SubmitClient | None, client: SubmitClient | None) -> None:
        """
        Stop *former*, then start *client*: the master knows a peer by its certificate, so two connections of one would
        meet there.
        """
        await before
        if former is not None:
            await former.stop()
        if client is not None:
            client.start()
