"""
Sending a mail by SMTP (RFC 5321).  `send` blocks, in a thread; it ends in bounded time, whatever the server does.
"""

import smtplib
import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from ...model.display import printable
from .mail_connections import MailConnections
from .reporter import NotSentError, RefusedForGoodError

TIMEOUT = 30.0
"""Seconds for the connection, and for each answer of the mail server."""
LONGEST_SENDING = 120.0
"""Seconds for one mail in all: a server that answers one byte at a time must not keep a thread."""
_log = Logger()


@frozen
class MailServer:
    """
    How mail is sent.  *password*: text, a `Secret`, or None.
    """

    host: str
    port: int
    user: str | None
    password: Any
    starttls: bool
    tls: bool


def send(
    server: MailServer,
    password: str | None,
    mail: EmailMessage,
    recipients: Collection[str],
    connections: MailConnections,
) -> dict[str, tuple[int, bytes]]:
    """
    Send *mail*; blocks.  Returns those of *recipients* to whom it may go later, with the server's reply; the server
    took it for others.  The end of *connections* ends it; nothing of a mail whose connection is made later goes out.
    """
    try:
        with _connected(server, connections) as client:
            if server.user is not None:
                client.login(server.user, password or "")
            refused = client.send_message(mail, to_addrs=list(recipients))
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
        # RFC 5321 4.2.1: 5yz is permanent.
        if all(code >= 500 for code in _codes(error)):
            raise RefusedForGoodError(f"the mail server {server.host} refuses it: {_last(error)}") from error
        raise NotSentError(f"the mail server {server.host} does not take it now: {_last(error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"the mail server {server.host}:{server.port}: {_error_text(error)}") from error
    for_good = {address: reply for address, reply in refused.items() if reply[0] >= 500}
    for address, reply in for_good.items():
        _log.warn(
            "the mail server {host} refuses {address}: {why}",
            host=server.host,
            address=address,
            why=printable(reply_text(*reply)),
        )
    return {address: reply for address, reply in refused.items() if address not in for_good}


class _CutOff:
    """
    A client of smtplib's whose connection ends after `LONGEST_SENDING`, whatever it waits for.
    """

    sock: socket.socket | None

    def __init__(self, connections: MailConnections, *args: Any, **named: Any) -> None:
        self.sock = None
        self._cut = False
        self._connections = connections
        connections.add(self)
        self._timer = threading.Timer(LONGEST_SENDING, self.cut)
        self._timer.daemon = True
        self._timer.start()
        try:
            super().__init__(*args, **named)
        except BaseException:
            self._forget()
            raise

    def close(self) -> None:
        """
        Close the connection.
        """
        self._forget()
        super().close()  # type: ignore[misc]  # of smtplib's class, beside this one

    def _forget(self) -> None:
        self._timer.cancel()
        self._connections.discard(self)

    def cut(self) -> None:
        """
        End the connection, whatever waits for it.  One that is not made yet, or not encrypted yet, has no socket that
        could be shut down: `check` refuses it.
        """
        self._cut = True
        if (connection := self.sock) is not None:
            # A thread that is blocked in a read gets end-of-file.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """
        `ConnectionAbortedError` if the connection was to end while it was made.  From now on `cut` finds its socket.
        """
        if self._cut:
            raise ConnectionAbortedError("The connection was ended while it was made.")


class _Smtp(_CutOff, smtplib.SMTP):
    pass


class _SmtpOverTls(_CutOff, smtplib.SMTP_SSL):
    pass


def _connected(server: MailServer, connections: MailConnections) -> smtplib.SMTP:
    client: _Smtp | _SmtpOverTls
    if server.tls:
        context = ssl.create_default_context()
        client = _SmtpOverTls(connections, server.host, server.port, timeout=TIMEOUT, context=context)
    else:
        client = _Smtp(connections, server.host, server.port, timeout=TIMEOUT)
    try:
        if server.starttls and not server.tls:
            client.starttls(context=ssl.create_default_context())
        client.check()
    except BaseException:
        client.close()
        raise
    return client


def _codes(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> list[int]:
    if isinstance(error, smtplib.SMTPDataError):
        return [error.smtp_code]
    return [code for code, _ in error.recipients.values()]


def _last(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return reply_text(*next(iter(error.recipients.values())))
    return _error_text(error)


def _error_text(error: OSError) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return reply_text(error.smtp_code, error.smtp_error)
    return error.strerror or str(error)


def reply_text(code: int, text: bytes | str) -> str:
    """
    A reply of the server, in one line.
    """
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
