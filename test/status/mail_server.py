"""
A real mail server in a thread, for tests.
"""

import contextlib
import email
import socket
import threading
from collections.abc import Callable
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller


class ReceivedMails:
    """
    The mails that a server got, each with its recipients.  *refusal*: what it answers instead of taking one.
    """

    def __init__(self, refusal: str | None = None) -> None:
        self.mails: list[tuple[list[str], Message]] = []
        self.refusal = refusal
        self.refusals: dict[str, str] = {}
        """Address → what the server answers when it is named."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """
        A recipient.
        """
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """
        A mail.
        """
        if self.refusal is not None:
            return self.refusal
        self.mails.append((list(envelope.rcpt_tos), email.message_from_bytes(envelope.content)))
        return "250 OK"


class AnyPortController(Controller):
    """
    A server at a free port, which *port* is once it has started.
    """

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()


def mail_server(refusal: str | None = None) -> tuple[ReceivedMails, AnyPortController]:
    """
    A running server on this machine, to be stopped with its ``stop``.
    """
    received = ReceivedMails(refusal)
    controller = AnyPortController(received, hostname="127.0.0.1", port=0)
    controller.start()
    return received, controller


class OneConversation:
    """
    A server that takes one connection, with which *converse* does what no mail server would.
    """

    def __init__(self, converse: Callable[[socket.socket], None]) -> None:
        self._converse = converse
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(OSError):  # the client has gone
            self._converse(connection)

    def stop(self) -> None:
        """
        Wait for the end of the connection.
        """
        self._thread.join(60)
        self._listening.close()
