"""
Small functions and classes that Buildbot has for code of configurations, with their documented meaning.
"""

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import Interface

from .mistakes import note


class IEmailLookup(Interface):
    """
    The interface of a reporter's ``lookup``.  Objects need not declare it; an object with the method is enough.
    """

    def getAddress(name: str) -> Any:  # noqa: N802, N805 - Buildbot's name; an interface has no self
        """
        The mail address of the author *name*, or None; or a Deferred of it.
        """


class ComparableMixin:
    """
    Makes objects equal if they are of the same class and their attributes named in *compare_attrs* are equal.
    """

    compare_attrs: ClassVar[tuple[str, ...] | list[str]] = ()

    def _compared(self) -> tuple[Any, ...]:
        names = dict.fromkeys(name for cls in type(self).__mro__ for name in vars(cls).get("compare_attrs", ()))
        return tuple(getattr(self, name, None) for name in names)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ComparableMixin) and type(self) is type(other) and self._compared() == other._compared()
        )

    def __hash__(self) -> int:
        return hash((type(self), *map(repr, self._compared())))


class BuildRequest:
    """
    Buildbot's class of requests, for its function.
    """

    @staticmethod
    def canBeCollapsed(master: Any, new_br: Any, old_br: Any) -> Deferred[bool]:
        """
        Fires with whether two requests, which a ``collapseRequests`` is given, ask for the same sources.
        """
        return succeed(bool(new_br.canBeCollapsed(old_br)))


def bytes2unicode(x: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """
    *x* as text if it is bytes; otherwise *x*.
    """
    return x.decode(encoding, errors) if isinstance(x, bytes) else x


def unicode2bytes(x: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """
    *x* as bytes if it is text; otherwise *x*.
    """
    return x.encode(encoding, errors) if isinstance(x, str) else x


def flatten(l: Any, types: Any = (list,)) -> list[Any]:  # noqa: E741 - Buildbot's name
    """
    The elements of *l*, with those of the lists in it, at any depth, in their places.  *types*: what counts as a list.
    """
    found: list[Any] = []
    waiting = [l]
    while waiting:
        each = waiting.pop()
        if isinstance(each, types):
            waiting.extend(reversed(each))
        else:
            found.append(each)
    return found


def s(step_class: Any, **arguments: Any) -> Any:
    """
    A step of the class *step_class*, made with *arguments*.  Factories for Buildbot 0.7 were written so.
    """
    return step_class(**arguments)


def enforceChosenWorker(bldr: Any, workerforbuilder: Any, breq: Any) -> bool:  # noqa: N802 - Buildbot's name
    """
    For ``canStartBuild``: True, because the queue itself builds a request only on the slave that was chosen for it with
    a `WorkerChoiceParameter`.
    """
    return True


def error(error: str, always_raise: bool = False) -> None:
    """
    Note a mistake of the configuration, at the line of the call.  *always_raise* has no effect.
    """
    note(str(error))
