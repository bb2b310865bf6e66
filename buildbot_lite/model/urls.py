"""
Addresses with a user and a password in them (RFC 3986 §3.2.1), which are never shown.

On the web a user without a password counts as one: services take a token in its place (``https://TOKEN@host``).
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#@\s:]*)(?::([^/?#\s]*))?@")
_WITH_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s:'\"]*):[^/?#\s'\"]+@")
_WITH_TOKEN = re.compile(r"\b(https?://)[^/?#@\s:'\"]+@", re.IGNORECASE)


class SplitUrl(NamedTuple):
    """
    A *url* without a password, and the *credentials* that were in it: user and password, or None.  *token*: the user of
    an address on the web that has no password.
    """

    url: str
    credentials: tuple[str, str] | None
    token: str | None = None


def split_url(url: str) -> SplitUrl:
    """
    *url* without its password; one at http or https loses its user as well.
    """
    found = _WITH_USER.match(url)
    if found is None:
        return SplitUrl(url, None)
    scheme, user, password = found.groups()
    rest = url[found.end() :]
    if scheme.lower() in {"http://", "https://"}:
        if password is None:
            return SplitUrl(scheme + rest, None, unquote(user) or None)
        return SplitUrl(scheme + rest, (unquote(user), unquote(password)))
    if password is None:
        return SplitUrl(url, None)
    return SplitUrl(f"{scheme}{user}@{rest}" if user else scheme + rest, None)


def without_passwords(text: str) -> str:
    """
    *text*, in which each address has stars for its password, and one on the web for a user without a password.
    """
    return _WITH_TOKEN.sub(r"\1***@", _WITH_PASSWORD.sub(r"\1:*****@", text))
