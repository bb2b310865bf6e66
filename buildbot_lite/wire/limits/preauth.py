"""
Who is expected need not wait among strangers.

A connection begins in the clear, and whoever opens many of them makes others wait for the handshake that follows
(`handshakes`): also the slaves behind the same address.  So a slave, and the ``buildbot-lite`` command, add a line that
only who has the string can make up::

    GET /id/TUBID HTTP/1.1
    Host: farm.example
    Knock: 5b0f…                     128 bits of HMAC-SHA256(swissnum, TUBID), in hexadecimal digits
    Upgrade: TLS/1.0

It opens nothing; it says who is to go first.  Whoever listens on the line may say the same; so each is good for a few
connections at once, and then for one every other second: as many as a slave makes, and too few to hold anybody up.
Foolscap passes over lines that it does not know, so masters and slaves that know nothing of it are served as before.
"""

import hmac
import re
from collections.abc import Callable

from ...model.token_bucket import TokenBucket
from ..contract import KNOCKS_AT_ONCE, KNOCKS_PER_SECOND

_LINE = re.compile(rb"\r\nKnock: ([0-9a-f]{32})\r\n")


def knock_of(swissnum: str, tub_id: str) -> str:
    """
    What the holder of a string says when it knocks.
    """
    return hmac.digest(swissnum.encode(), tub_id.encode(), "sha256")[:16].hex()


def opening(tub_id: str, host: str, knock: str) -> bytes:
    """
    The first words of a connection to a Tub; *knock*: "" for who is not expected.
    """
    lines = [f"GET /id/{tub_id} HTTP/1.1", f"Host: {host}", "Upgrade: TLS/1.0", "Connection: Upgrade"]
    if knock:
        lines.insert(2, f"Knock: {knock}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Knocks:
    """
    Those that are expected at the Tub *tub_id*.  *now* tells the seconds.
    """

    def __init__(self, tub_id: str, now: Callable[[], float]) -> None:
        self._tub_id = tub_id
        self._now = now
        self._allowances: dict[str, TokenBucket] = {}

    def expect(self, swissnum: str) -> None:
        """
        Whoever has this string may go first.
        """
        allowance = TokenBucket(self._now, KNOCKS_AT_ONCE, KNOCKS_PER_SECOND)
        self._allowances.setdefault(knock_of(swissnum, self._tub_id), allowance)

    def forget(self, swissnum: str) -> None:
        """
        It is an expected one no longer.
        """
        self._allowances.pop(knock_of(swissnum, self._tub_id), None)

    def heard(self, head: bytes) -> bool:
        """
        Whether a connection that begins with *head* is from somebody who is expected, and has not knocked too often.
        """
        found = _LINE.search(head)
        allowance = self._allowances.get(found[1].decode()) if found else None
        return allowance is not None and allowance.take()
