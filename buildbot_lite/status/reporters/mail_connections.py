"""
The connections to mail servers of one farm, which its stop ends.

`MailConnections.end` is called in the reactor's thread, the other methods in the threads that send.  A connection is
either in the set when `end` looks there, or its `add` finds that the end has come.
"""

from typing import Protocol


class MailConnection(Protocol):
    """
    A connection, perhaps not made yet.
    """

    def cut(self) -> None:
        """
        End it, whatever waits for it; if it is not made yet, once it is made.
        """


class MailConnections:
    """
    The connections that are open or being made.
    """

    def __init__(self) -> None:
        self._open: set[MailConnection] = set()
        self._ended = False

    def add(self, connection: MailConnection) -> None:
        """
        *connection* is going to be made; `ConnectionAbortedError` after the end.
        """
        self._open.add(connection)
        if self._ended:
            self._open.discard(connection)
            raise ConnectionAbortedError("The master is stopping.")

    def discard(self, connection: MailConnection) -> None:
        """
        *connection* is closed.
        """
        self._open.discard(connection)

    def end(self) -> None:
        """
        Cut all connections, also in the midst of a mail, and permit no more.
        """
        self._ended = True
        for connection in tuple(self._open):
            connection.cut()
