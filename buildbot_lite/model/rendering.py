"""
Rendering of arguments with the values of a build.

An argument in master.cfg may depend on the build: ``Property("branch")``, ``Interpolate("%(prop:a)s")``, a function
marked ``@renderer``, a ``Secret``, or a list, tuple or dictionary that contains them at any depth.  `render` computes
its value for one build, which it reads through a `View`.

`render` is a coroutine, because a renderer may be one.  `render_now` is for callers that cannot wait, and raises if a
renderer waits.  A `Secret` is rendered to a reference (`spec.secret_reference`), never to its value.

One deliberate difference from Buildbot: ``Property("n")`` without a default, whose value is 0 or "", is rendered to
that value, not to None.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

from attrs import frozen

from ..errors import (
    BuildbotLiteError,
    ConfigError,
    NameNotAllowedError,
    PropertyError,
)
from .change_view import ChangeView
from .names import checked_name
from .operations import Operators
from .properties import (
    Json,
    Properties,
    checked_property_name,
    checked_value,
)
from .results import Result
from .spec import secret_reference
from .user_functions import error_text, limited

_DEEPEST = 50
PLAIN = (str, int, float, bytes, type(None))
"""Types of immutable values that contain nothing to be rendered."""
NO_DEFAULT: Any = object()


class View:
    """
    The values of a build that renderers can read.

    *sources*: codebase → source stamp ("branch", "revision", "repository", "project"); without codebases there is one,
    with the name "".  *slave*: facts about the build's slave, at least its "name".  *changes*: those that are built,
    oldest first.  ``results``: those of the steps that have ended, as they count for the build.
    """

    def __init__(
        self,
        properties: Properties,
        *,
        sources: Mapping[str, Mapping[str, Json]] | None = None,
        slave: Mapping[str, Json] | None = None,
        changes: Sequence[ChangeView] = (),
    ) -> None:
        self.properties = properties
        self.changes = list(changes)
        self.results: Sequence[Result] = ()
        self.sources = {
            codebase: {name: checked_value(name, value) for name, value in stamp.items()}
            for codebase, stamp in (sources or {}).items()
        }
        self.slave = dict(slave or {})

    def getProperty(self, name: str, default: Json = None) -> Json:
        """
        The value of the property *name*, or *default*.
        """
        return self.properties.get(name, default)

    def hasProperty(self, name: str) -> bool:
        return name in self.properties

    has_key = hasProperty

    def getProperties(self) -> Properties:
        return self.properties

    async def render(self, value: Any) -> Any:
        """
        *value*, rendered for this build.
        """
        return await render(value, self)

    def getBuild(self) -> "View":  # noqa: N802 - Buildbot's name
        """
        This object, which has what a renderer may ask of a build.
        """
        return self

    def allFiles(self) -> list[str]:  # noqa: N802 - Buildbot's name
        """
        The files that the build's changes changed, each once, in the order of the changes.
        """
        return list(dict.fromkeys(file for each in self.changes for file in each.files))

    def __getitem__(self, name: str) -> Json:
        return self.properties[name]

    def __contains__(self, name: object) -> bool:
        return name in self.properties


@runtime_checkable
class Renderable(Protocol):
    """
    An argument whose value depends on the build.
    """

    def getRenderingFor(self, props: View) -> Any:
        """
        The value for the build *props*, or an awaitable of it.  `render` renders the value again.
        """


def is_renderable(value: object) -> bool:
    """
    Whether *value* is a `Renderable`, or contains one in lists, tuples or dictionaries.
    """
    if isinstance(value, PLAIN):
        return False
    if isinstance(value, (list, tuple)):
        return any(map(is_renderable, value))
    if isinstance(value, Mapping):
        return any(is_renderable(key) or is_renderable(item) for key, item in value.items())
    return _renders(value)


def _renders(value: object) -> TypeGuard[Renderable]:
    # Means ``isinstance(value, Renderable)``, which takes ten times as long in Python 3.11.
    return hasattr(value, "getRenderingFor") and not isinstance(value, type)


async def render(value: Any, view: View, _depth: int = 0) -> Any:
    """
    *value*, rendered for the build of *view*; `PropertyError` if it cannot be computed.

    Lists, tuples and dictionaries are copied, with their elements rendered; other values are returned unchanged.
    """
    if isinstance(value, PLAIN):
        return value
    if _depth > _DEEPEST:
        raise PropertyError("An argument contains itself, or is nested more than 50 deep: it cannot be rendered.")
    if isinstance(value, list):
        return [await render(item, view, _depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple([await render(item, view, _depth + 1) for item in value])
    if isinstance(value, Mapping):
        return {
            await render(key, view, _depth + 1): await render(item, view, _depth + 1) for key, item in value.items()
        }
    if _renders(value):
        result = limited(value.getRenderingFor, type(value).__name__)(view)
        if inspect.isawaitable(result):
            result = await result
        return await render(result, view, _depth + 1)
    return value


async def rendered_environment(env: Mapping[str, Any], view: View) -> dict[str, str | None]:
    """
    *env*, with its values rendered to text.  Lists are joined with colons; None, which removes a variable, is kept.
    """
    rendered = {name: await render(value, view) for name, value in env.items()}
    return {
        name: ":".join(map(str, value)) if isinstance(value, (list, tuple)) else value if value is None else str(value)
        for name, value in rendered.items()
    }


def render_now(value: Any, view: View) -> Any:
    """
    *value*, rendered for the build of *view* without waiting; `PropertyError` if a renderer waits.
    """
    coroutine = render(value, view)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise PropertyError("A renderer waits, but this argument can be rendered only by functions that do not wait.")


@frozen(eq=False)
class Property(Operators):
    """
    The value of the property *key*.

    *default* replaces a missing value, and also an empty, zero or False one, unless *defaultWhenFalse* is False.
    """

    key: str
    default: Any = NO_DEFAULT
    defaultWhenFalse: bool = True

    def __attrs_post_init__(self) -> None:
        try:
            checked_property_name(self.key)
        except PropertyError as error:
            raise ConfigError(str(error)) from None

    def getRenderingFor(self, props: View) -> Any:
        """
        The value or the default; `render` renders it again.
        """
        value = props.getProperty(self.key)
        missing = self.key not in props or (self.defaultWhenFalse and not value)
        return self.default if missing and self.default is not NO_DEFAULT else value

    def __repr__(self) -> str:
        default = "" if self.default is NO_DEFAULT else f", default={self.default!r:.60}"
        return f"Property({self.key!r}{default})"


@frozen
class Secret:
    """
    The secret *name*.  Only the slave's keeper receives its value, with the command that needs it.
    """

    name: str

    def __attrs_post_init__(self) -> None:
        checked_secret_name(self.name)

    def getRenderingFor(self, props: View) -> str:
        """
        The secret's reference, which is recorded in place of its value.
        """
        return secret_reference(self.name)


def checked_secret_name(name: str) -> str:
    """
    Return *name* if it is a valid name of a secret; otherwise raise `ConfigError`.
    """
    try:
        return checked_name(name, "secret")
    except NameNotAllowedError as error:
        raise ConfigError(str(error)) from None


class renderer(Operators):  # noqa: N801 - a decorator
    """
    A decorator that makes a renderable of a function of the build's properties::

        @renderer
        def f(props):
            return props.getProperty("x")

    The function may be ``async``.  Its result is rendered again.  *args*, *kwargs*: further arguments, which are
    rendered before each call.
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if not callable(function):
            raise ConfigError(f"@renderer must be before a function; {function!r:.60} is not one.")
        self._function = limited(function, "renderer")
        self._args = args
        self._kwargs = kwargs
        self.__doc__ = getattr(function, "__doc__", None)
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def withArgs(self, *args: Any, **kwargs: Any) -> "renderer":
        """
        A renderer of the same function with more arguments, which are rendered before each call.
        """
        return renderer(self._function, *self._args, *args, **{**self._kwargs, **kwargs})

    async def getRenderingFor(self, props: View) -> Any:
        """
        The function's result.  An exception of the function becomes a `PropertyError` with the function's name.
        """
        args = await render(list(self._args), props)
        kwargs = await render(self._kwargs, props)
        try:
            result = self._function(props, *args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        except BuildbotLiteError:
            raise
        except Exception as error:
            raise PropertyError(f"The renderer {self.__name__} failed: {error_text(error)}") from error

    def __repr__(self) -> str:
        return f"renderer({self.__name__})"
