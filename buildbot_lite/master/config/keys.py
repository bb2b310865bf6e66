"""
The keys of ``c``: how each is checked, its default, and its place in a `MasterConfig`.

`OWN_KEYS` are the master's.  A higher package defines its own `Key`, reads it with ``config.extension("pages")``, and a
tap adds it::

    keys = Registry("key of c", OWN_KEYS.values())
    keys.add(pages.PAGES)
    generation = load(basedir, keys=keys)

A generation keeps the keys with which it was read; the next master.cfg and stored ones are read with the same keys.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from attrs import frozen

from ...wire.endpoint import LARGEST_PORT, Endpoint
from .arguments import ArgumentChecker
from .change_sources import ChangeSource
from .master_config import (
    DEFAULT_DB,
    DEFAULT_MAX_RETRIES,
    DEFAULT_RECONFIG_TIMEOUT,
    DEFAULT_TITLE,
    HINT,
)
from .mistakes import remark
from .objects import BuilderConfig, BuildSlave, collapse_rule
from .retention import RetentionPolicies, checked_policies
from .schedulers import BaseScheduler
from .secret_files import Provider
from .services import Service
from .www import WebPages, checked_www

MOST_RETRIES = 100
MOST_PLACES = 10
MOST_PORTS = 5
LONGEST_RECONFIG = 3600


@frozen
class Contribution:
    """
    Builders and schedulers that the value of a key stands for, beside those in ``c["builders"]`` and
    ``c["schedulers"]``.
    """

    builders: Sequence[BuilderConfig] = ()
    schedulers: Sequence[BaseScheduler] = ()


@frozen(eq=False)
class Key:
    """
    A key of ``c``.

    *check*: ``check(checker, value)`` returns the value to use, or notes a mistake.  *default*: the value when the key
    is missing or None.  *field*: the field of `MasterConfig` that gets the value; None for a key of a higher package,
    which reads it with `MasterConfig.extension`.  *aliases*: Buildbot's names for it.  *contributes*: returns the
    builders and schedulers that a checked value adds.
    """

    name: str
    check: Callable[[ArgumentChecker, Any], Any]
    default: Any = None
    field: str | None = None
    aliases: tuple[str, ...] = ()
    contributes: Callable[[Any], Contribution] | None = None


@frozen(eq=False)
class ListKey:
    """
    A key of ``c`` that is a list of objects of one *kind*, with different names.

    *noun*: the word for such an object in sentences.  *field*: the field of `MasterConfig` that gets them, by name.
    *alone*: whether a single object may be given without a list.  *if_twice*: the remedy when two have the same name.
    *aliases*: Buildbot's names for the key.
    """

    name: str
    kind: type[BuildSlave | BuilderConfig | BaseScheduler | Service | ChangeSource]
    noun: str
    field: str
    alone: bool = False
    if_twice: str = ""
    aliases: tuple[str, ...] = ()


AnyKey: TypeAlias = Key | ListKey


def _whole(**bounds: int) -> Callable[[ArgumentChecker, Any], int]:
    return lambda checker, value: checker.whole("the value", value, **bounds)


def _horizon(checker: ArgumentChecker, value: Any) -> int | None:
    # Buildbot: 0 is no horizon.
    return checker.whole("the value", value, least=0) or None


def _ports(checker: ArgumentChecker, value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        return _ports_of_protocols(checker, value)
    values = value if isinstance(value, (list, tuple)) else [value]
    if not 0 < len(values) <= MOST_PORTS:
        checker.note(f"give 1 to {MOST_PORTS} ports.")
    ports = []
    for each in values[:MOST_PORTS]:
        endpoint = f"tcp:{each}" if isinstance(each, int) or (isinstance(each, str) and each.isdecimal()) else each
        if isinstance(each, bool) or not isinstance(endpoint, str) or Endpoint.parse(endpoint) is None:
            checker.wrong(
                "the port", each, 'a number from 1 to 65535 or an endpoint like "tcp:9989:interface=127.0.0.1"'
            )
        elif endpoint in ports:
            checker.note(f"{each!r} is there twice.")
        else:
            ports.append(endpoint)
    return tuple(ports)


def _ports_of_protocols(checker: ArgumentChecker, value: Mapping[Any, Any]) -> tuple[str, ...]:
    # Buildbot's c['protocols'] = {"pb": {"port": 9989}}.
    ports: list[Any] = []
    if not value:
        checker.note('write the port as {"pb": {"port": 9989}}, or as c["port"] = 9989.')
    for name, options in value.items():
        if not isinstance(options, Mapping) or "port" not in options:
            checker.note(f'write the port as {{{name!r}: {{"port": 9989}}}}, or as c["port"] = 9989.')
        elif options["port"] not in ports and options["port"] is not None:
            ports.append(options["port"])
    return _ports(checker, ports) if ports else ()


def _location(checker: ArgumentChecker, value: Any) -> tuple[str, ...]:
    hosts = checker.texts("the location", [value] if isinstance(value, str) else value)
    if len(hosts) > MOST_PLACES:
        checker.note(f"at most {MOST_PLACES} places are allowed.")
    for host in hosts:
        match = HINT.match(host)
        if match is None or not 0 < int(match["port"] or 1) <= LARGEST_PORT:
            checker.wrong("a place", host, 'a host, with or without a port, like "farm.example.org:9989"')
    return hosts


def _db(checker: ArgumentChecker, value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("db_url")
    if not isinstance(value, str):
        checker.wrong("the database", value, "a file")
        return DEFAULT_DB
    scheme, separator, rest = value.partition("://")
    # After the "?" there may be options for Buildbot, as in sqlite:///state.sqlite?serialize_access=1.
    rest = rest.partition("?")[0]
    path = rest[1:] if separator else value
    if separator and scheme == "sqlite" and rest in ("", "/:memory:"):
        remark(f"{checker.owner}: the records are not kept in memory, but in the file {DEFAULT_DB}.", checker.place)
        return DEFAULT_DB
    if separator and (scheme != "sqlite" or not rest.startswith("/")):
        checker.wrong(
            "the database",
            _without_password(value),
            'a file, or "sqlite:///file".  The records are kept in a file of SQLite; leave the key out for the default',
        )
        return DEFAULT_DB
    if path == ":memory:" or os.path.basename(path) in ("", ".", ".."):
        checker.wrong("the database", value, "a file")
        return DEFAULT_DB
    return path


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _url(checker: ArgumentChecker, value: Any) -> str | None:
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        checker.wrong("the URL", value, 'a web address like "https://farm.example.org/"')
        return None
    return cast("str", value if value.endswith("/") else value + "/")


def _providers(checker: ArgumentChecker, value: Any) -> tuple[Provider, ...]:
    if not isinstance(value, (list, tuple)):
        checker.wrong("the value", value, "a list of providers")
        return ()
    providers = []
    for provider in value:
        if not isinstance(provider, Provider) or isinstance(provider, type):
            checker.wrong("a provider", provider, 'one like secrets.SecretInAFile("secrets")')
        else:
            providers.append(provider)
    return tuple(providers)


def _function(name: str) -> Callable[[ArgumentChecker, Any], Any]:
    return lambda checker, value: checker.function(name, value)


def _properties(checker: ArgumentChecker, value: Any) -> Mapping[str, Any]:
    return checker.properties("the value", value)


_OWN: tuple[AnyKey, ...] = (
    ListKey("slaves", BuildSlave, "BuildSlave", "slaves", aliases=("workers", "bots")),
    ListKey("builders", BuilderConfig, "BuilderConfig", "builders"),
    ListKey("schedulers", BaseScheduler, "scheduler", "schedulers"),
    ListKey(
        "services",
        Service,
        "service",
        "services",
        if_twice="Give one of them another name=….",
        aliases=("status",),
    ),
    ListKey(
        "change_source",
        ChangeSource,
        "change source",
        "change_sources",
        alone=True,
        if_twice="Give one of them another name=….",
    ),
    Key("port", _ports, (), "ports", aliases=("protocols", "slavePortnum")),
    Key("location", _location, (), "location"),
    Key("db", _db, DEFAULT_DB, "db", aliases=("db_url",)),
    Key("title", lambda checker, value: checker.label("the title", value), DEFAULT_TITLE, "title"),
    Key("buildbotURL", _url, None, "buildbot_url"),
    Key("maxRetries", _whole(most=MOST_RETRIES), DEFAULT_MAX_RETRIES, "max_retries"),
    Key("minspace", _whole(), None, "minspace"),
    Key("changeHorizon", _horizon, None, "change_horizon"),
    Key("reconfigTimeout", _whole(least=1, most=LONGEST_RECONFIG), DEFAULT_RECONFIG_TIMEOUT, "reconfig_timeout"),
    Key("secretsProviders", _providers, (), "secrets_providers"),
    Key("collapseRequests", collapse_rule, None, "collapse_requests", aliases=("mergeRequests",)),
    Key("prioritizeBuilders", _function("prioritizeBuilders"), None, "prioritize_builders"),
    Key("codebaseGenerator", _function("codebaseGenerator"), None, "codebase_generator"),
    Key("properties", _properties, MappingProxyType({}), "properties"),
    Key("retention", checked_policies, RetentionPolicies(), "retention"),
    Key("www", checked_www, WebPages(), "www"),
)
OWN_KEYS: Mapping[str, AnyKey] = MappingProxyType({key.name: key for key in _OWN})
"""Name → key, for the keys that the master has without higher packages."""
