"""
The web process as a service of ``twistd``: it receives webhooks and hands them to the master.

``web.tac`` needs three lines, and one of them is the string of ``buildbot-lite grant webhooks``::

    from buildbot_lite.web_tap import application_for

    application = application_for(webhooks="pb://…")

SIGTERM stops it.  Errors are found before twistd becomes a daemon, and printed as one sentence.
"""

import os
import sys
from typing import Any, cast

from twisted.application.service import Application, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from .errors import BuildbotLiteError, ConfigError, PortError, StorageError, sentence
from .storage.files import make_directory, readable_by_others
from .storage.lock import DirectoryLock
from .storage.log_file import watch_log_files
from .web.hooks import ChangeHooks, Handover
from .web.site import WebPage, make_factory
from .wire.certificate import load_or_create
from .wire.client import SubmitClient
from .wire.endpoint import Endpoint, open_port
from .wire.furl import parse

DEFAULT_PORT = "tcp:8010:interface=127.0.0.1"
"""Loopback: a reverse proxy with TLS stands before it (docs/deployment.md)."""


class WebService(MultiService):
    """
    The web process in the directory *basedir*, which is locked from now on.  *webhooks*: its FURL.  *port*: an endpoint
    in Twisted's notation, at which it listens from now on.
    """

    log = Logger()

    def __init__(self, webhooks: str, basedir: str, port: str, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._reactor = reactor
        parse(webhooks)
        if not os.path.isdir(basedir):
            raise StorageError(f"There is no directory {basedir}.  Make one with: buildbot-lite create-web")
        private = os.path.join(basedir, "private")
        make_directory(private)
        self._lock = DirectoryLock(private, "web process")
        self._client = SubmitClient(reactor, webhooks.strip(), load_or_create(os.path.join(private, "tub.pem")))
        self._endpoint = _endpoint(port)
        self._socket = _bound(self._endpoint)
        self._listening: Any = None

    def startService(self) -> None:
        """
        Take requests.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._log_files = watch_log_files(self._reactor)
        self._client.start()
        root = WebPage()
        root.putChild(b"change_hook", ChangeHooks(Handover(self._client.submit, self._reactor)))
        factory = make_factory(root, self._reactor)
        # The reactor accepts until the queue of connections is empty; the socket must not block then.
        self._socket.setblocking(False)
        self._listening = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        self._socket.close()
        self.log.info("webhooks are taken at {endpoint}, below /change_hook/", endpoint=str(self._endpoint))

    def stopService(self) -> Deferred[None]:
        """
        Stop listening, and cut the connection to the master.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._log_files.stop()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        await self._client.stop()
        await cast("Deferred[None]", super().stopService())  # type: ignore[no-untyped-call]  # Twisted's
        self._lock.release()


def application_for(webhooks: str, basedir: str | None = None, *, port: str = DEFAULT_PORT) -> Any:
    """
    The ``application`` of a ``web.tac``.  *webhooks*: the string of ``buildbot-lite grant webhooks``.  *basedir*: by
    default the directory of that file.  *port*: an endpoint like "tcp:8010:interface=127.0.0.1".
    """
    tac = os.path.abspath(sys._getframe(1).f_globals.get("__file__", "web.tac"))  # noqa: SLF001 - twistd sets it
    application = Application("buildbot-lite-web")
    # Imported late: the import installs the default reactor, and twistd may have an option for another.
    from twisted.internet import reactor  # noqa: TID251 - this is a tap

    try:
        service = WebService(webhooks, basedir or os.path.dirname(tac), port, reactor)
    except (BuildbotLiteError, OSError) as error:
        raise SystemExit(sentence(error)) from None
    if os.path.exists(tac) and readable_by_others(tac):
        service.log.warn(
            "others on this machine can read {path}, and the string in it: chmod 600 it",
            path=tac,
        )
    service.setServiceParent(application)  # type: ignore[no-untyped-call]  # Twisted's
    return application


def _endpoint(port: str) -> Endpoint:
    endpoint = Endpoint.parse(port)
    if endpoint is None:
        raise ConfigError(f'{port!r:.100} is no port.  Write port="{DEFAULT_PORT}" in web.tac.')
    return endpoint


def _bound(endpoint: Endpoint) -> Any:
    try:
        return open_port(endpoint)
    except PortError as error:
        reason = os.strerror(error.errno or 0)
        raise PortError(
            f"The web process cannot listen at {endpoint}: {reason}.  Choose another port=… in web.tac.", error.errno
        ) from None
