"""
The cookie of a browser's session.

Cookies are shared by all ports of a host (RFC 6265, 8.5), so its name has a few digits of the web process's own: two
farms on one host would end each other's sessions.  Over TLS it has a prefix with which browsers take it only from
there, and with ``__Host-`` from this very host alone (draft-ietf-httpbis-rfc6265bis, 4.1.3).
"""

from attrs import frozen

from ..page_request import PageRequest

COOKIE = "farm-session"
DIGITS = 10
"""Of a digest, in its name."""
_LENGTHS = range(8, 200)


@frozen
class SessionCookie:
    """
    *mark*: of this web process, in letters and digits; at least `DIGITS`, unless it is "".
    """

    mark: str = ""

    def set(self, asked: PageRequest, value: str, seconds: float) -> str:
        """
        The ``Set-Cookie`` header of the answer to *asked* that gives the browser *value* for so many *seconds*; 0: that
        takes it away.

        Without a path it is for the directory of the address that sets it: the farm's root, below whatever path a proxy
        has it (RFC 6265, 5.1.4).
        """
        prefix = _prefix(asked)
        secure = "; Secure" if prefix else ""
        path = "; Path=/" if prefix == _OF_HOST else ""
        name = f"{prefix}{self._name}"
        return f"{name}={value}; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict{path}{secure}"

    def values(self, asked: PageRequest) -> list[str]:
        """
        What may be ours among the cookies of *asked*, that of the longest path first (RFC 6265, 5.4): pages above this
        path may have one of the same name, and other programs have others, of any form.  All are looked at, so that no
        number of them hides ours; the head of a request is bounded.
        """
        name = f"{_prefix(asked)}{self._name}"
        pairs = (each.strip().partition("=") for each in asked.headers.get("cookie", "").split(";"))
        return [value for of, _, value in pairs if of == name and len(value) in _LENGTHS]

    @property
    def _name(self) -> str:
        return f"{COOKIE}-{self.mark[:DIGITS]}" if self.mark else COOKIE


_OF_HOST, _OF_TLS = "__Host-", "__Secure-"


def _prefix(asked: PageRequest) -> str:
    """
    Of names of cookies of the site that is *asked*; "" on the machine itself, where there is no TLS.  Its name does not
    tell that: a proxy may ask for us by a name of its own.
    """
    visitor = asked.visitor
    if not visitor.tls:
        return ""
    # Whether a proxy has the pages below a path, only c['buildbotURL'] says.
    return _OF_HOST if visitor.is_at_root else _OF_TLS
