"""
Removal of credentials from URLs (RFC 3986 §3.2.1).

In an http or https URL a user without a password counts as a credential, because services accept a token there
(``https://TOKEN@host``).
"""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# Greedy: an "@" that should have been encoded is part of the user or password.
_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s]*)@")
# A scheme is looked for once in each run of its characters: anybody may have written the text, and a search from each
# of them takes hours for a megabyte.
_WITH_USER_IN_TEXT = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]++://)([^/?#\s'\"]*)@")
_WEB = ("http://", "https://")


class SplitUrl(NamedTuple):
    """
    The parts of a URL.  *url*: the URL without them; *credentials*: user and password, or None; *token*: the user of an
    http or https URL without a password, or None.
    """

    url: str
    credentials: tuple[str, str] | None
    token: str | None = None


def split_url(url: str) -> SplitUrl:
    """
    Separate *url* from its password; for http and https also from its user.
    """
    match = _WITH_USER.match(url)
    if match is None:
        return SplitUrl(url, None)
    scheme, userinfo = match.groups()
    user, colon, password = userinfo.partition(":")
    remainder = url[match.end() :]
    if scheme.lower() in _WEB:
        if not colon:
            return SplitUrl(scheme + remainder, None, unquote(user) or None)
        return SplitUrl(scheme + remainder, (unquote(user), unquote(password)))
    if not colon:
        return SplitUrl(url, None)
    return SplitUrl(f"{scheme}{user}@{remainder}" if user else scheme + remainder, None)


def same_host(url: str, other: str) -> bool:
    """
    Whether two URLs have the same scheme, host and port; False if one of them is not a URL.
    """
    try:
        return urlsplit(url)[:2] == urlsplit(other)[:2]
    except ValueError:
        return False


def without_passwords(text: str) -> str:
    """
    *text*, with asterisks for the password of each URL, and for the user of an http or https URL without a password.
    """
    return _WITH_USER_IN_TEXT.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    scheme, userinfo = match.groups()
    user, _, password = userinfo.partition(":")
    if password:
        return f"{scheme}{user}:*****@"
    if user and scheme.lower().endswith(_WEB):
        return f"{scheme}***@"  # also https://TOKEN:@host
    return match.group()
