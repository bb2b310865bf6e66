"""
The key c['www']: the pages of the web process, and the webhooks that it takes.

The web process does not read master.cfg: it asks the master for what is here (`control.web_answers`).
"""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from attrs import field, frozen

from ...model.suggestions import did_you_mean, nearest
from ...wire.endpoint import Endpoint
from .arguments import ArgumentChecker, shown
from .buildbot_words import find, words_at
from .mistakes import remark
from .placeholders import is_placeholder
from .webhooks import HOOKS, HookDialect, checked_dialects

MOST_PROXIES = 100
WWW = "c['www']"
_OTHER_ENDPOINT = re.compile(r"(?!tcp6?:)[a-z][a-z0-9]*:")


@frozen
class WebPages:
    """
    What the configuration says about the pages.

    *port*: an endpoint, or the number of a port of the loopback interface; None: the first free one from 8010 on.
    *private*: whether reading needs a string, too.  *trusted_proxies*: addresses and networks of web servers whose
    forwarded headers are believed.  *dialects*: name → the webhooks that are accepted.
    """

    port: int | str | None = None
    private: bool = False
    trusted_proxies: tuple[str, ...] = ()
    dialects: Mapping[str, HookDialect] = field(factory=dict)


def checked_www(checker: ArgumentChecker, value: Any) -> WebPages:
    """
    Check c['www'].
    """
    if not isinstance(value, Mapping):
        checker.wrong("the value", value, "a dictionary")
        return WebPages()
    accepted = {}
    for name, given in value.items():
        known = _ENTRIES.get(name) if isinstance(name, str) else None
        word = find(WWW, str(name))
        if word is not None:
            remark(word.sentence, checker.place)
        elif known is None:
            _unknown(checker, str(name))
        elif given is not None and not is_placeholder(given):
            field_name, check = known
            accepted[field_name] = check(checker, name, given)
    return WebPages(**accepted)


def _unknown(checker: ArgumentChecker, name: str) -> None:
    # A misspelt one of ours is refused: no "privat" may leave the pages open.  Others were written for other pages.
    names = [*_ENTRIES, *(each.name for each in words_at(WWW))]
    sentence = f"there is no entry {name!r:.60}.{did_you_mean(name, names)}"
    if nearest(name, _ENTRIES) is not None:
        checker.note(sentence)
    else:
        checker.remark(f"{sentence}  It has no effect.")


def _port(checker: ArgumentChecker, name: str, value: Any) -> int | str | None:
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        number = int(value[:9])
    if number == 0 or (isinstance(value, str) and _OTHER_ENDPOINT.match(value)):
        checker.remark(
            f"{name} {shown(value)} has no effect: the pages are served by HTTP, at a TCP port that has a number.  The "
            "port= of web.tac is used, or the first free one from 8010 on."
        )
        return None
    endpoint = value if number is None else f"tcp:{number}"
    if not isinstance(endpoint, str) or Endpoint.parse(endpoint) is None:
        checker.wrong(name, value, 'a number from 1 to 65535 or an endpoint like "tcp:8010:interface=127.0.0.1"')
        return None
    return endpoint if number is None else number


def _private(checker: ArgumentChecker, name: str, value: Any) -> bool:
    return checker.flag(name, bool(value) if isinstance(value, int) and value in (0, 1) else value)


def _proxies(checker: ArgumentChecker, name: str, value: Any) -> tuple[str, ...]:
    proxies = checker.texts(name, value)
    if len(proxies) > MOST_PROXIES:
        checker.note(f"{name} has more than {MOST_PROXIES} addresses: name their networks.")
    networks = []
    for each in proxies[:MOST_PROXIES]:
        try:
            networks.append(str(ip_network(each)))
        except ValueError:
            checker.wrong(f"an address in {name}", each, 'an IP address or a network like "10.1.0.0/16"')
    return tuple(networks)


# Entry → the field of `WebPages` and its check.
_ENTRIES: Mapping[str, Any] = {
    "port": ("port", _port),
    "private": ("private", _private),
    "trusted_proxies": ("trusted_proxies", _proxies),
    HOOKS: ("dialects", checked_dialects),
}
