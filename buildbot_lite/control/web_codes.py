"""
One-time codes with which a person gets a control string into a browser, without seeing the string.

::

    grant control --web ──► a code ──► the person opens the pages' address with it, and presses a button
                                              │
    a new grant, its FURL  ◄── redeem ── the web process, with its own string

Codes are in memory only: a restart of the master makes them void.  A code has 128 bits, so guessing is hopeless; wrong
ones are limited all the same, so that nobody fills the log or takes the master's time with them.
"""

import base64
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen

from ..errors import LimitError, RefusedError
from ..model.token_bucket import TokenBucket

VALID_FOR = 600.0
"""Seconds in which a code can be redeemed."""
SESSION = 12 * 3600.0
"""Seconds for which the string is valid that a code becomes, unless the admin says less."""
MOST_CODES = 100
LONGEST_CODE = 100
WRONG_AT_ONCE = 20
WRONG_PER_SECOND = 0.2
_BYTES = 16


@frozen
class CodeTerms:
    """
    What a code becomes.  *code*: in ASCII.  *until*: seconds of the clock, after which it is void.  *label*: the
    admin's note.  *lasts*: seconds for which the string is valid.  *by*: the grant of the admin who asked for it.
    """

    code: bytes
    until: float
    label: str
    lasts: float
    by: int | None


class WebCodes:
    """
    The codes that can be redeemed.  *now*: seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: list[CodeTerms] = []
        self._wrong = TokenBucket(now, WRONG_AT_ONCE, WRONG_PER_SECOND)

    def issue(self, *, label: str, lasts: float, by: int | None) -> str:
        """
        A new code: 26 letters and digits.  `LimitError` when there are `MOST_CODES`.
        """
        self._forget_old()
        if len(self._waiting) >= MOST_CODES:
            raise LimitError(
                f"{MOST_CODES} codes have not been used yet.  Use one of them, or wait {VALID_FOR / 60:.0f} minutes."
            )
        code = base64.b32encode(secrets.token_bytes(_BYTES)).rstrip(b"=").lower()
        self._waiting.append(CodeTerms(code, self._now() + VALID_FOR, label, lasts, by))
        return code.decode()

    def left(self, terms: CodeTerms) -> float:
        """
        Seconds for which the code with *terms* would have been valid.
        """
        return max(0.0, terms.until - self._now())

    @contextmanager
    def redeeming(self, code: str) -> Iterator[CodeTerms]:
        """
        A context with the terms of *code*, which nobody can redeem from now on; if the context fails, it can be
        redeemed again.  `RefusedError` if there is no such code, `LimitError` if there were too many wrong ones, too.
        """
        terms = self._taken(code)
        try:
            yield terms
        except BaseException:
            self._waiting.append(terms)
            raise

    def _taken(self, code: str) -> CodeTerms:
        self._forget_old()
        given = code.strip().lower().encode("ascii", "replace")
        # All are compared, so that the time tells nothing.
        found = [each for each in self._waiting if hmac.compare_digest(each.code, given)]
        if not found:
            # Only then: or a stranger with wrong codes would keep everybody from signing in.
            if self._wrong.left < 1:
                raise LimitError(f"Too many wrong codes.  Try again in {1 / WRONG_PER_SECOND:.0f} seconds.")
            self._wrong.spend(1)
            raise RefusedError(
                f"This code is wrong, was used, or is older than {VALID_FOR / 60:.0f} minutes.  For another one: "
                "buildbot-lite grant control --web"
            )
        self._waiting.remove(found[0])
        return found[0]

    def _forget_old(self) -> None:
        now = self._now()
        self._waiting = [each for each in self._waiting if each.until > now]
