"""
Addresses with a user and a password in them (RFC 3986 §3.2.1), which are never shown.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#@\s:]*)(?::([^/?#\s]*))?@")
_WITH_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s:'\"]*):[^/?#\s'\"]+@")


class Parted(NamedTuple):
    """
    A *url* without a password, and the *credentials* that were in it: user and password, or None.
    """

    url: str
    credentials: tuple[str, str] | None


def parted(url: str) -> Parted:
    """
    *url* without its password; one at http or https that has a password loses its user as well.
    """
    found = _WITH_USER.match(url)
    if found is None or found[3] is None:
        return Parted(url, None)
    scheme, user, password = found.groups()
    rest = url[found.end() :]
    if scheme.lower() in {"http://", "https://"}:
        return Parted(scheme + rest, (unquote(user), unquote(password)))
    return Parted(f"{scheme}{user}@{rest}" if user else scheme + rest, None)


def without_passwords(text: str) -> str:
    """
    *text*, in which each address with a password has stars for it.
    """
    return _WITH_PASSWORD.sub(r"\1:*****@", text)
