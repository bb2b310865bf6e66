"""
Passes the bytes of a shell on, between the slave that runs it and the client that uses it.

::

    opening ──opened──► open ──ended, or slave lost──────► over: the client is told
       └────────────────┴──────client lost, or FURL revoked──► over: the slave is told

It keeps no bytes: each piece is passed on at once, and acknowledged when the other end has acknowledged it.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import BuildbotLiteError, RefusedError
from ..wire.shells import OpenShell, ShellTerminal

LOST = 255
"""The exit code of a shell whose slave was lost; ssh(1) has the same."""


class ShellRelay:
    """
    Both ends of a shell: an `OpenShell` for *client*, and a `ShellTerminal` for the slave.  *over*: called once, with
    whether the shell was open, and its exit code, None if that is not known.
    """

    _log = Logger()

    def __init__(self, client: ShellTerminal, over: Callable[[bool, int | None], object]) -> None:
        self._client = client
        self._tell_over = over
        self._shell: OpenShell | None = None
        self._is_over = False
        client.when_lost(self._client_lost)

    @property
    def is_over(self) -> bool:
        """
        Whether nobody uses the shell any more.
        """
        return self._is_over

    def opened(self, shell: OpenShell) -> None:
        """
        The slave has opened *shell*.
        """
        self._shell = shell
        if self._is_over:
            self._hang_up()

    def not_opened(self) -> None:
        """
        Nobody will use it: the slave has opened none, or too late, or it could not be recorded.
        """
        if self._over(None):
            self._hang_up()

    def slave_lost(self, sentence: str) -> None:
        """
        The link to the slave was lost; *sentence*: for the client.
        """
        if self._over(None):
            background(self._tell_client(LOST, sentence), self._log, "telling the end of a shell")

    # For the client.

    def input(self, data: bytes) -> Deferred[None]:
        return self._to_shell(lambda shell: shell.input(data))

    def end_input(self) -> Deferred[None]:
        return self._to_shell(lambda shell: shell.end_input())

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        return self._to_shell(lambda shell: shell.resize(rows, columns))

    def hang_up(self) -> Deferred[None]:
        return self._to_shell(lambda shell: shell.hang_up())

    # For the slave.

    def output(self, data: bytes) -> Deferred[None]:
        return self._to_client(lambda: self._client.output(data))

    def errors(self, data: bytes) -> Deferred[None]:
        return self._to_client(lambda: self._client.errors(data))

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        if self._over(exit_code):
            background(self._tell_client(exit_code, reason), self._log, "telling the end of a shell")
        return succeed(None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self._client.when_lost(callback)

    # Implementation.

    def _to_shell(self, call: Callable[[OpenShell], Deferred[None]]) -> Deferred[None]:
        if self._shell is None or self._is_over:
            return succeed(None)  # the client will know soon
        return call(self._shell)

    def _to_client(self, call: Callable[[], Deferred[None]]) -> Deferred[None]:
        return fail(RefusedError("Nobody uses this shell any more.")) if self._is_over else call()

    def _client_lost(self) -> None:
        if self._over(None):
            self._hang_up()

    def _hang_up(self) -> None:
        if self._shell is not None:
            background(self._shell.hang_up().addErrback(_gone), self._log, "hanging up a shell")

    async def _tell_client(self, exit_code: int, reason: str) -> None:
        await self._client.ended(exit_code, reason).addErrback(_gone)

    def _over(self, exit_code: int | None) -> bool:
        if self._is_over:
            return False
        self._is_over = True
        self._tell_over(self._shell is not None, exit_code)
        return True


def _gone(failure: Failure) -> None:
    """
    The other end is gone, or refuses: nothing is left to do.
    """
    failure.trap(BuildbotLiteError)
