"""
From the dictionary that a master.cfg filled to a `MasterConfig`.

This is where mistakes are noted that only show when everything is known: a key that does not exist, two slaves of one
name, a builder on a slave that is none.  A mistake in an object belongs to the line that made it, one in a key to the
line that set it.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from ...model.hello import MOST_HINTS
from ...wire.endpoint import LARGEST_PORT, Endpoint
from .arguments import ArgumentChecker, shown
from .master_config import (
    DEFAULT_DB,
    DEFAULT_MAX_RETRIES,
    DEFAULT_RECONFIG_TIMEOUT,
    DEFAULT_TITLE,
    HINT,
    MasterConfig,
)
from .mistakes import (
    SourceLine,
    did_you_mean,
    note,
)
from .objects import (
    BuilderConfig,
    BuildSlave,
    Scheduler,
    Submit,
)
from .secret_files import Provider

T = TypeVar("T")
Named = TypeVar("Named", BuildSlave, BuilderConfig, Scheduler)

MOST_RETRIES = 100
MOST_PLACES = 10
MOST_PORTS = 5
LONGEST_RECONFIG = 3600

KEYS = (
    "slaves", "builders", "schedulers", "port", "location", "db", "title", "buildbotURL", "maxRetries",
    "minspace", "reconfigTimeout", "secretsProviders",
)  # fmt: skip

# What Buildbot has under another name, or has not here.
_ELSEWHERE = {
    "workers": "It is called c['slaves'] here.",
    "protocols": "There is one protocol here; its port is c['port'].",
    "slavePortnum": "It is called c['port'] here.",
    "db_url": "It is called c['db'] here.",
    "buildbotNetUsageData": "Nothing is reported to anybody here; leave it out.",
    "multiMaster": "A farm has one master at a time; leave it out.",
    "mq": "There is no message queue to choose; leave it out.",
}
_LATER = (
    "www", "services", "change_source", "status", "titleURL", "properties", "collapseRequests", "mergeRequests",
    "prioritizeBuilders", "manhole", "validation", "revlink", "user_managers", "codebaseGenerator", "configurators",
    "caches", "changeCacheSize", "buildCacheSize", "logCompressionLimit", "logCompressionMethod", "logMaxSize",
    "logMaxTailSize", "logEncoding", "machines", "metrics", "changeHorizon", "buildHorizon", "logHorizon",
)  # fmt: skip


def assemble(c: object, basedir: str, places: Mapping[str, SourceLine]) -> MasterConfig:
    """
    The configuration in the dictionary *c*.  What is wrong with it is noted; then it is not to be used.

    *places*: where each of its keys was set, as far as that is known.
    """
    if not isinstance(c, Mapping):
        note("A master.cfg begins with: c = BuildmasterConfig = {}", SourceLine())
        c = {}
    keys = _Keys(c, places)
    keys.note_unknown()
    slaves = keys.by_name("slaves", BuildSlave)
    builders = keys.by_name("builders", BuilderConfig)
    schedulers = keys.by_name("schedulers", Scheduler)
    _check_builders(builders, keys.called("slaves"))
    _check_schedulers(schedulers, keys.called("builders"), slaves)
    nothing: tuple[str, ...] = ()
    ports, location = keys.value("port", _ports, nothing), keys.value("location", _location, nothing)
    if sum(1 if _has_port(each) else len(ports) for each in location) > MOST_HINTS:
        keys.note("location", f"with {len(ports)} ports these are more than the {MOST_HINTS} places of a string.")
    return MasterConfig(
        basedir=basedir,
        slaves=slaves,
        builders=builders,
        schedulers=schedulers,
        ports=ports,
        location=location,
        db=keys.value("db", _db, DEFAULT_DB),
        title=keys.value("title", lambda checker, value: checker.label("the title", value), DEFAULT_TITLE),
        buildbot_url=keys.value("buildbotURL", _url, None),
        max_retries=keys.value(
            "maxRetries",
            lambda checker, value: checker.whole("the value", value, most=MOST_RETRIES),
            DEFAULT_MAX_RETRIES,
        ),
        minspace=keys.value("minspace", lambda checker, value: checker.whole("the value", value, least=0), None),
        reconfig_timeout=keys.value(
            "reconfigTimeout",
            lambda checker, value: checker.whole("the value", value, least=1, most=LONGEST_RECONFIG),
            DEFAULT_RECONFIG_TIMEOUT,
        ),
        secrets_providers=keys.value("secretsProviders", _providers, ()),
    )


class _Keys:
    def __init__(self, c: Mapping[Any, Any], places: Mapping[str, SourceLine]) -> None:
        self._c = c
        self._places = places

    def _place(self, key: str) -> SourceLine:
        return self._places.get(key, SourceLine())

    def note(self, key: str, sentence: str) -> None:
        note(f"c[{key!r}]: {sentence}", self._place(key))

    def note_unknown(self) -> None:
        for key in self._c:
            if key not in KEYS:
                note(f"There is no c[{key!r:.60}].  {_about(key)}".rstrip(), self._place(key))

    def value(self, key: str, check: Callable[[ArgumentChecker, Any], T], default: T) -> T:
        if self._c.get(key) is None:
            return default
        return check(ArgumentChecker(f"c[{key!r}]", place=self._place(key)), self._c[key])

    def called(self, key: str) -> set[str]:
        # Also what those wanted to be called that have a mistake: one mistake is not to be reported at two places.
        things = self._c.get(key)
        return {str(getattr(thing, "called", "")) for thing in (things if isinstance(things, (list, tuple)) else ())}

    def by_name(self, key: str, kind: type[Named]) -> dict[str, Named]:
        found: dict[str, Named] = {}
        things = self._c.get(key)
        if things is None:
            things = ()
        if not isinstance(things, (list, tuple)):
            note(f"c[{key!r}] must be a list, not {shown(things)}.", self._place(key))
            things = ()
        for thing in things:
            if not isinstance(thing, kind):
                note(f"c[{key!r}] holds {shown(thing)}, which is no {_a_kind(kind)}.", self._place(key))
            elif thing.name in found:
                first = found[thing.name].place
                there = f"; the first is at {first}" if first else ""
                note(f"There are two {key} called {thing.name!r}{there}.", thing.place or SourceLine())
            elif thing.name:
                found[thing.name] = thing
        return found


def _a_kind(kind: type) -> str:
    return "scheduler" if kind is Scheduler else kind.__name__


def _about(key: object) -> str:
    if not isinstance(key, str):
        return "Keys are text."
    if key in _LATER:
        return "Buildbot's comes later here; leave it out for now."
    return _ELSEWHERE.get(key) or did_you_mean(key, KEYS).strip()


def _check_builders(builders: Mapping[str, BuilderConfig], slaves: Collection[str]) -> None:
    directories: dict[str, str] = {}
    for builder in builders.values():
        place = builder.place or SourceLine()
        _note_strangers(f"The builder {builder.name!r}", "slave", builder.slavenames, slaves, place)
        other = directories.setdefault(builder.directory.lower(), builder.name)
        if other != builder.name:
            note(
                f"The builders {other!r} and {builder.name!r} would share the directory {builder.directory!r} "
                "on their slaves; rename one of them.",
                place,
            )


def _check_schedulers(schedulers: Mapping[str, Scheduler], builders: Collection[str], slaves: Collection[str]) -> None:
    for scheduler in schedulers.values():
        place = scheduler.place or SourceLine()
        _note_strangers(f"The scheduler {scheduler.name!r}", "builder", scheduler.builder_names, builders, place)
        if isinstance(scheduler, Submit) and scheduler.name in slaves:
            note(
                f"A slave and a Submit scheduler are both called {scheduler.name!r}; each has its string in "
                f"furls/{scheduler.name}.furl, so rename one of them.",
                place,
            )


def _note_strangers(who: str, what: str, names: Iterable[str], known: Collection[str], place: SourceLine) -> None:
    for name in names:
        if name not in known:
            note(f"{who} names the {what} {name!r}, and there is none of that name.{did_you_mean(name, known)}", place)


def _ports(checker: ArgumentChecker, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not 0 < len(values) <= MOST_PORTS:
        checker.note(f"give 1 to {MOST_PORTS} ports.")
    found = []
    for each in values[:MOST_PORTS]:
        endpoint = f"tcp:{each}" if isinstance(each, int) or (isinstance(each, str) and each.isdecimal()) else each
        if isinstance(each, bool) or not isinstance(endpoint, str) or Endpoint.parse(endpoint) is None:
            checker.wrong(
                "the port", each, 'a number from 1 to 65535 or an endpoint like "tcp:9989:interface=127.0.0.1"'
            )
        elif endpoint in found:
            checker.note(f"{each!r} is there twice.")
        else:
            found.append(endpoint)
    return tuple(found)


def _location(checker: ArgumentChecker, value: Any) -> tuple[str, ...]:
    hosts = checker.texts("the location", [value] if isinstance(value, str) else value)
    if len(hosts) > MOST_PLACES:
        checker.note(f"at most {MOST_PLACES} places are allowed.")
    for host in hosts:
        match = HINT.match(host)
        if match is None or not 0 < int(match["port"] or 1) <= LARGEST_PORT:
            checker.wrong("a place", host, 'a host, with or without a port, like "farm.example.org:9989"')
    return hosts


def _has_port(place: str) -> bool:
    match = HINT.match(place)
    return match is not None and match["port"] is not None


def _db(checker: ArgumentChecker, value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("db_url")
    if not isinstance(value, str):
        checker.wrong("the database", value, "a file")
        return DEFAULT_DB
    path = value
    scheme, found, rest = path.partition("://")
    if found:
        if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
            checker.wrong("the database", _without_password(value), 'a file, or "sqlite:///file"')
            return DEFAULT_DB
        path = rest[1:]
    if not path or path == ":memory:" or os.path.basename(path) in ("", ".", ".."):
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
    found = []
    for provider in value:
        if not isinstance(provider, Provider) or isinstance(provider, type):
            checker.wrong("a provider", provider, 'one like secrets.SecretInAFile("secrets")')
        else:
            found.append(provider)
    return tuple(found)
