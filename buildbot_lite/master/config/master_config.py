"""
The checked configuration that the rest of the master reads.  ``assembly`` makes it.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ...errors import ConfigError
from ...model.locks import LockName
from ...model.suggestions import did_you_mean
from .change_sources import ChangeSource
from .force_scheduler import ForceScheduler
from .locks import Lock
from .objects import BuilderConfig, BuildSlave
from .retention import RetentionPolicies
from .schedulers import BaseScheduler, Triggerable
from .secret_files import Provider
from .services import Service
from .submit_scheduler import Submit
from .www import WebPages

DEFAULT_DB = "records/farm.sqlite"
DB_OF_0_1_0 = "private/farm.sqlite"
DEFAULT_TITLE = "Build farm"
DEFAULT_MAX_RETRIES = 3
DEFAULT_RECONFIG_TIMEOUT = 60

# A host name, an IPv4 address, or an IPv6 address in brackets; a port if there is one.
HINT = re.compile(
    r"(?:tcp:)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?\Z"
)


def has_port(hint: str) -> bool:
    """
    Whether *hint*, an element of c['location'], includes a port.
    """
    match = HINT.match(hint)
    return match is not None and match["port"] is not None


@frozen
class MasterConfig:
    """
    The contents of a master.cfg.

    *ports*: endpoints to listen at, like "tcp:9989"; empty: a free port, chosen once.
    *location*: hosts, with or without ":port", at which slaves reach the master; empty: detected at the start.
    *db*: the file of the database, relative to the master's directory.
    *minspace*: bytes to keep free on the master's disk (`builds.disk_reserve`); None: the default.
    *reconfig_timeout*: seconds that the next master.cfg may take to load while the master runs.
    *change_horizon*: how many changes are kept; None: any number, each for a year.
    *collapse_requests*: True, False, a function, or None for the default.  *prioritize_builders*: a function, or None.
    *codebase_generator*: a function that gets the dictionary of a change and returns its codebase, or None.
    *properties*: properties of all builds.  *extensions*: name → value of the keys of higher packages.
    *locks*: as `declared_locks` returns them.  *www*: the web process's pages and webhooks.
    """

    basedir: str
    slaves: Mapping[str, BuildSlave]
    builders: Mapping[str, BuilderConfig]
    schedulers: Mapping[str, BaseScheduler]
    change_sources: Mapping[str, ChangeSource] = field(factory=dict)
    ports: tuple[str, ...] = ()
    location: tuple[str, ...] = ()
    db: str = DEFAULT_DB
    title: str = DEFAULT_TITLE
    buildbot_url: str | None = None
    max_retries: int = DEFAULT_MAX_RETRIES
    minspace: int | None = None
    change_horizon: int | None = None
    reconfig_timeout: int = DEFAULT_RECONFIG_TIMEOUT
    secrets_providers: tuple[Provider, ...] = ()
    services: Mapping[str, Service] = field(factory=dict)
    retention: RetentionPolicies = field(factory=RetentionPolicies)
    collapse_requests: Any = None
    prioritize_builders: Any = None
    codebase_generator: Any = None
    properties: Mapping[str, Any] = field(factory=dict)
    extensions: Mapping[str, Any] = field(factory=dict)
    locks: Mapping[tuple[bool, str], Lock] = field(factory=dict)
    www: WebPages = field(factory=WebPages)

    def extension(self, key: str) -> Any:
        """
        The value of ``c[key]``, or its default.  *key*: one that a higher package added.
        """
        return self.extensions[key]

    def database_in(self, basedir: str) -> str:
        """
        The path of the database of the master in *basedir*.
        """
        return self.db if "://" in self.db else os.path.join(basedir, self.db)

    def own_directories(self, basedir: str) -> tuple[str, ...]:
        """
        The directories of the master in *basedir* that master.cfg names: of the database, of the secrets, and of copies
        of repositories.  Without *basedir*, and what contains it.
        """
        named = [getattr(each, "workdir", None) for each in self.change_sources.values()]
        named += [getattr(each, "dirname", None) for each in self.secrets_providers]
        named += [] if "://" in self.db else [os.path.dirname(self.db)]
        names = [name for name in named if isinstance(name, str)]
        top = os.path.realpath(basedir)
        paths = {os.path.realpath(os.path.join(basedir, name)) for name in names}
        return tuple(sorted(path for path in paths if os.path.commonpath([path, top]) != path))

    def why_no_codebase(self, codebase: str) -> str | None:
        """
        Why no scheduler builds changes of *codebase*; None if one does.
        """
        known = {name for each in self.schedulers.values() for name in each.codebases if name}
        if not codebase or codebase in known:
            return None
        return f"no scheduler has {codebase!r:.100} in its codebases.{did_you_mean(codebase, known)}"

    @property
    def submits(self) -> dict[str, Submit]:
        """
        The schedulers that accept submissions.
        """
        return {name: each for name, each in self.schedulers.items() if isinstance(each, Submit)}

    @property
    def triggerables(self) -> dict[str, Triggerable]:
        """
        The schedulers that `Trigger` steps can start.
        """
        return {name: each for name, each in self.schedulers.items() if isinstance(each, Triggerable)}

    def forced_by(self, builder: str, name: str | None = None) -> ForceScheduler | None:
        """
        The first scheduler, or the one called *name*, with which *builder* may be forced; None if there is none.
        """
        for scheduler in self.schedulers.values():
            if not isinstance(scheduler, ForceScheduler) or builder not in scheduler.builder_names:
                continue
            if name in (None, scheduler.name):
                return scheduler
        return None

    def lock_limit(self, lock: LockName) -> int | None:
        """
        The units of *lock*; None if there is no such lock.
        """
        configured = self.locks.get((lock.slave is not None, lock.name))
        return None if configured is None else configured.limit_on(lock.slave)

    def builders_on(self, slave: str) -> list[BuilderConfig]:
        """
        The builders that may build on *slave*.
        """
        return [builder for builder in self.builders.values() if slave in builder.slavenames]

    def secret(self, name: str) -> str:
        """
        The value of the secret *name*; `ConfigError` if no provider has it.
        """
        for provider in self.secrets_providers:
            value = provider.value(self.basedir, name)
            if value is not None:
                return value
        raise self._unknown(name)

    def why_no_secret(self, name: str) -> str | None:
        """
        Why the secret *name* is not available, in a sentence.  None if it is available, if a slow provider lists it, or
        if a directory of secrets cannot be read, which is noted separately.
        """
        try:
            for provider in self.secrets_providers:
                if getattr(provider, "slow", False):
                    if name in provider.names(self.basedir):
                        return None
                elif provider.value(self.basedir, name) is not None:
                    return None
        except ConfigError as error:
            return str(error)
        unreadable = (getattr(provider, "why_unreadable", None) for provider in self.secrets_providers)
        if any(why is not None and why(self.basedir) for why in unreadable):
            return None
        return str(self._unknown(name))

    @property
    def slow_secrets(self) -> bool:
        """
        Whether `secret` may take seconds.
        """
        return any(getattr(provider, "slow", False) for provider in self.secrets_providers)

    def _unknown(self, name: str) -> ConfigError:
        if not self.secrets_providers:
            return ConfigError(f"There is no secret {name!r}: c['secretsProviders'] is empty.")
        return ConfigError(f"There is no secret {name!r} in any of the secretsProviders.")
