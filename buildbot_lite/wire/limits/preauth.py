"""
Pre-authentication: holders of a FURL skip the handshake queue.

A connection begins in the clear, and a flood of connections delays the handshakes that follow (`handshakes`), also
those of slaves behind the same address.  So a slave, and the ``buildbot-lite`` command, send a line that only a holder
of the FURL can compute::

    GET /id/TUBID HTTP/1.1
    Host: farm.example
    Knock: 5b0f…                     128 bits of HMAC-SHA256(swissnum, TUBID), in hexadecimal digits
    Upgrade: TLS/1.0

The token grants only priority.  An eavesdropper can replay it, so each token is accepted for a few connections at once,
and then for one every two seconds: enough for a slave, too few for a flood.  Foolscap ignores unknown lines, so the
line does not disturb older masters.
"""

import hmac
import re
from collections.abc import Callable

from ...model.token_bucket import TokenBucket
from ..contract import PREAUTH_BURST, PREAUTH_PER_SECOND

_LINE = re.compile(rb"\r\nKnock: ([0-9a-f]{32})\r\n")


def preauth_token(swissnum: str, tub_id: str) -> str:
    """
    The token of the FURL with *swissnum*, for the Tub *tub_id*.
    """
    return hmac.digest(swissnum.encode(), tub_id.encode(), "sha256")[:16].hex()


def plaintext_request(tub_id: str, host: str, token: str) -> bytes:
    """
    The first lines of a connection to the Tub *tub_id*.  *token*: from `preauth_token`, or "" for none.
    """
    lines = [f"GET /id/{tub_id} HTTP/1.1", f"Host: {host}", "Upgrade: TLS/1.0", "Connection: Upgrade"]
    if token:
        lines.insert(2, f"Knock: {token}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Preauth:
    """
    The tokens that the Tub *tub_id* accepts.  *now*: returns seconds on a monotonic clock.
    """

    def __init__(self, tub_id: str, now: Callable[[], float]) -> None:
        self._tub_id = tub_id
        self._now = now
        self._buckets: dict[str, TokenBucket] = {}

    def expect(self, swissnum: str) -> None:
        """
        Accept the token of *swissnum*.
        """
        bucket = TokenBucket(self._now, PREAUTH_BURST, PREAUTH_PER_SECOND)
        self._buckets.setdefault(preauth_token(swissnum, self._tub_id), bucket)

    def forget(self, swissnum: str) -> None:
        """
        Do not accept the token of *swissnum* any more.
        """
        self._buckets.pop(preauth_token(swissnum, self._tub_id), None)

    def admits(self, head: bytes) -> bool:
        """
        Whether *head*, the first lines of a connection, has an accepted token that was not used too often.  Counts as a
        use of the token.
        """
        match = _LINE.search(head)
        bucket = self._buckets.get(match[1].decode()) if match else None
        return bucket is not None and bucket.take()
