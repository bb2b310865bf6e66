"""
The slaves and builders of a master.cfg.

They are values.  A constructor checks its own arguments, and keeps *place*, the line of the call, and *given_name*, the
name as it was given, valid or not.  ``assembly`` checks what concerns several objects (does that slave exist?).
Arguments have Buildbot's spelling; attributes, which the rest of the master reads, have snake_case.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import UnsafePathError
from ...model.lease import SHORTEST_GRACE
from ...model.machines import ARCH
from ...model.names import directory_name, relative_path
from .argument_fit import NotingType, written_name
from .arguments import ArgumentChecker
from .build_factory import BuildFactory
from .executed_line import current_line
from .locks import LockAccess, checked_accesses, locks_argument
from .mistakes import MISSING, note, remark

DEFAULT_GRACE = 1800.0
DEFAULT_MISSING_TIMEOUT = 3600.0
ON_LOST = ("retry", "fail")


class SlaveProperties(dict[str, Any]):
    """
    The properties of a slave, which Buildbot's configurations also read with the methods of `Properties`.
    """

    def getProperty(self, name: str, default: Any = None) -> Any:
        """
        The value of the property *name*, or *default*.
        """
        return self.get(name, default)

    def hasProperty(self, name: str) -> bool:
        return name in self


class BuildSlave(metaclass=NotingType):
    """
    A machine that builds.  It connects with the string that ``buildslave.furls`` has for its *name*.

    *max_builds*: the most builds at a time; None: no limit.
    *properties*: properties of all builds on it.
    *grace*: seconds for which its builds wait when it is lost, before they are retried elsewhere; default 1800.
    *pin*: accept only the machine that used the string first; default True.  False is for images and containers.
    *minspace*: bytes that must be free on its disk before a build starts.
    *locks*: accesses that every build on it holds, like ``[lock.access("counting")]``.
    *notify_on_missing*: mail addresses to which a reporter writes when the slave was disconnected for
    *missing_timeout* seconds, default 3600.

    Without effect: *password* and *keepalive_interval*.
    """

    also_called = ("Worker",)

    def __init__(
        self,
        name: Any,
        password: Any = None,
        *,
        max_builds: Any = None,
        properties: Any = None,
        grace: Any = DEFAULT_GRACE,
        pin: Any = True,
        minspace: Any = 0,
        locks: Any = (),
        notify_on_missing: Any = (),
        missing_timeout: Any = DEFAULT_MISSING_TIMEOUT,
        keepalive_interval: Any = None,
    ) -> None:
        self.place = current_line(self)
        self.given_name = name
        word = written_name(self)
        arguments = ArgumentChecker(f"{word} {name!r:.100}", self)
        if keepalive_interval is not None:
            remark(f"{word}: keepalive_interval has no effect; links are checked every ten seconds.", of=self)
        if isinstance(password, int):
            arguments.note(f"the second argument is the password, as in Buildbot; write max_builds={password!r}.")
        elif password is not None:
            remark(
                f"{word}: a password has no effect here; a slave's string in buildslave.furls is all it takes.",
                of=self,
            )
        self.name = arguments.name("name", name, "slave")
        self.max_builds: int | None = arguments.optional(_positive(arguments), "max_builds", max_builds)
        self.properties = SlaveProperties(arguments.properties("properties", {} if properties is None else properties))
        self.grace = arguments.seconds("grace", grace, least=SHORTEST_GRACE)
        self.pin = arguments.flag("pin", pin)
        self.minspace = arguments.whole("minspace", minspace)
        addresses = [notify_on_missing] if isinstance(notify_on_missing, str) else notify_on_missing or ()
        self.notify_on_missing = arguments.texts("notify_on_missing", addresses)
        self.missing_timeout = arguments.seconds("missing_timeout", missing_timeout, least=1.0)
        self.locks: tuple[LockAccess, ...] = () if locks is None else checked_accesses(arguments, "locks", locks)

    @property
    def slavename(self) -> str:
        """
        The name, as Buildbot's configurations read it.
        """
        return self.name

    workername = slavename

    def __repr__(self) -> str:
        return f"BuildSlave({self.name!r})"


class BuilderConfig(metaclass=NotingType):
    """
    One kind of build: its steps, and the slaves that may run them.

    Slaves: *slavenames* (or *slavename*, *workername*, *workernames*): a name or a list.  *requires*: a dictionary:
    property → value, or list of values of which a slave must have one; without *slavenames*, all slaves that have them.
    ``arch`` is that of the slave's machine, unless the slave has a property of that name.
    *canStartBuild*: a function of builder, slave and request; False: the build does not start there now.

    Builds: *factory*: their steps.  *env*: environment variables of all commands; None removes one.  *properties*: of
    all builds; *defaultProperties*: of all builds in which nothing else sets them.  *slavebuilddir* (or
    *workerbuilddir*, *builddir*): the directory on slaves; default: made from the name.  *maxTime*: seconds after which
    a build is ended.  *locks*: accesses that each build holds from its beginning to its end, like
    ``[lock.access("exclusive")]``.  *concurrent*: allow several builds at a time on one slave; default False.

    Lost slaves: *grace*: seconds for which a build waits for its slave; the smaller of this and the slave's value
    applies.  *onLost*: "retry" (default): if the slave is lost during a command, the build is repeated; "fail": nothing
    is repeated, and steps wait for the slave without limit.  A step may have its own value.

    Requests: *nextBuild*: a function of builder and requests that chooses the next request.  *nextSlave* (or
    *nextWorker*): a function of builder, slaves and request that chooses the slave.  *collapseRequests* (or
    *mergeRequests*): True, False or a function (`scheduling.collapsing`).

    For people: *description*: a sentence.  *tags*: words by which lists choose builders; *category*: one more tag.
    """

    slotted = False
    """
    Whether each of its builds has a directory of its own on the slave, while it runs.  A slave runs one build of all
    such builders at a time, or as many as its ``max_builds`` permits.
    """
    tells_steps = False
    """
    Whether those who follow one of its builds are told when each step begins.
    """

    def __init__(
        self,
        name: Any,
        slavenames: Any = None,
        factory: Any = MISSING,
        *,
        slavename: Any = None,
        workernames: Any = None,
        workername: Any = None,
        requires: Any = None,
        builddir: Any = None,
        slavebuilddir: Any = None,
        workerbuilddir: Any = None,
        category: Any = None,
        tags: Any = (),
        env: Any = None,
        properties: Any = None,
        description: Any = "",
        concurrent: Any = False,
        maxTime: Any = None,
        grace: Any = None,
        onLost: Any = "retry",
        canStartBuild: Any = None,
        locks: Any = (),
        defaultProperties: Any = None,
        nextBuild: Any = None,
        nextSlave: Any = None,
        nextWorker: Any = None,
        collapseRequests: Any = None,
        mergeRequests: Any = None,
    ) -> None:
        self.place = current_line(self)
        self.given_name = name
        arguments = ArgumentChecker(f"BuilderConfig {name!r:.100}", self)
        self.name = arguments.label("name", name)
        self.requires = _properties(arguments, "requires", requires)
        self.slavenames = _names_of_slaves(
            arguments,
            {"slavenames": slavenames, "workernames": workernames, "slavename": slavename, "workername": workername},
            optional=bool(self.requires),
        )
        if not isinstance(factory, BuildFactory):
            arguments.wrong("factory", factory, "a BuildFactory")
            factory = BuildFactory()
        self.factory = factory
        self.tags = arguments.texts("tags", () if tags is None else tags)
        if category is not None:
            self.tags = (*self.tags, arguments.text("category", category))
        self.own_directory = _directory(
            arguments, {"slavebuilddir": slavebuilddir, "workerbuilddir": workerbuilddir}, builddir
        )
        self.env = arguments.environment("env", {} if env is None else env)
        self.properties = _properties(arguments, "properties", properties)
        self.default_properties = _properties(arguments, "defaultProperties", defaultProperties)
        self.description = _description(arguments, description)
        self.concurrent = arguments.flag("concurrent", concurrent)
        self.max_time: float | None = arguments.optional(_longer_than_none(arguments), "maxTime", maxTime)
        self.grace: float | None = arguments.optional(_grace(arguments), "grace", grace)
        self.on_lost = arguments.choice("onLost", onLost, ON_LOST)
        self.locks = locks_argument(arguments, "locks", locks)
        self.can_start_build = _function(arguments, {"canStartBuild": canStartBuild})
        self.next_build = _function(arguments, {"nextBuild": nextBuild})
        self.next_slave = _function(arguments, {"nextSlave": nextSlave, "nextWorker": nextWorker})
        self.collapse_requests = arguments.optional(
            lambda name, value: collapse_rule(arguments, value),
            "collapseRequests",
            arguments.one_of({"collapseRequests": collapseRequests, "mergeRequests": mergeRequests}),
        )

    @property
    def workernames(self) -> tuple[str, ...]:
        """
        The slaves' names, as Buildbot's configurations read them.
        """
        return self.slavenames

    @property
    def builddir(self) -> str:
        """
        The name of its directory, as Buildbot's configurations read it.
        """
        return self.directory

    @property
    def steps(self) -> tuple[Any, ...]:
        """
        The steps of the factory.  Each build makes its own steps from their recipes.
        """
        return tuple(self.factory.steps)

    @property
    def directory(self) -> str:
        """
        The builder's directory, relative to the slave's ``work``.
        """
        return directory_name(self.name) if self.own_directory is None else self.own_directory

    def grace_on(self, slave: BuildSlave) -> float:
        """
        The seconds for which a build on *slave* waits for it when it is lost.
        """
        return slave.grace if self.grace is None else min(self.grace, slave.grace)

    @property
    def architectures(self) -> Sequence[str]:
        """
        Those of which a slave's machine must run one; none: any machine will do.
        """
        return listed(self.requires[ARCH]) if ARCH in self.requires else ()

    def __repr__(self) -> str:
        return f"BuilderConfig({self.name!r})"


def listed(value: Any) -> Sequence[Any]:
    """
    *value* itself if it is a list, and otherwise a list of it.
    """
    return value if isinstance(value, (list, tuple)) else [value]


def collapse_rule(arguments: ArgumentChecker, value: Any) -> Any:
    """
    Check a rule for collapsing requests: True, False or a function.
    """
    if isinstance(value, bool):
        return value
    if callable(value) and not isinstance(value, type):
        return arguments.function("collapseRequests", value)
    arguments.wrong("collapseRequests", value, "True, False or a function")
    return False


def _properties(arguments: ArgumentChecker, name: str, value: Any) -> dict[str, Any]:
    return arguments.properties(name, {} if value is None else value)


def _description(arguments: ArgumentChecker, value: Any) -> str:
    words = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return arguments.text("description", "" if words is None else words)


def _function(arguments: ArgumentChecker, given: Mapping[str, Any]) -> Callable[..., Any] | None:
    value = arguments.one_of(given)
    return None if value is None else arguments.function(next(iter(given)), value)


def _names_of_slaves(arguments: ArgumentChecker, given: Mapping[str, Any], *, optional: bool) -> tuple[str, ...]:
    value = arguments.one_of(given)
    if value is None:
        if not optional:
            note(f"{arguments.owner} needs the argument 'slavenames'.")
        return ()
    name = next(name for name, each in given.items() if each is not None)
    return arguments.several(name, [value] if isinstance(value, str) else value)


def _directory(arguments: ArgumentChecker, given: Mapping[str, Any], builddir: Any) -> str | None:
    value = arguments.one_of(given)
    value = builddir if value is None else value
    if value is None:
        return None
    try:
        directory = relative_path(value)
    except UnsafePathError:
        directory = "."
    if directory == ".":
        arguments.wrong("the build directory", value, "a relative path that does not lead out of its directory")
        return None
    return directory


def _positive(arguments: ArgumentChecker) -> Callable[[str, Any], int]:
    return lambda name, value: arguments.whole(name, value, least=1)


def _longer_than_none(arguments: ArgumentChecker) -> Callable[[str, Any], float]:
    return lambda name, value: arguments.seconds(name, value, least=1.0)


def _grace(arguments: ArgumentChecker) -> Callable[[str, Any], float]:
    return lambda name, value: arguments.seconds(name, value, least=SHORTEST_GRACE)
