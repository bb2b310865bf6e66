"""
Small helpers that Buildbot has for code of configurations, with the meaning that its documentation gives them.
"""

from typing import Any, ClassVar

from zope.interface import Interface

from .mistakes import note


class IEmailLookup(Interface):
    """
    What a reporter's ``lookup`` provides.  Any object with the method will do; this is for code that declares it.
    """

    def getAddress(name: str) -> Any:  # noqa: N802, N805 - Buildbot's name; an interface has no self
        """
        The mail address of the author *name*, or None; or a Deferred of it.
        """


class ComparableMixin:
    """
    Objects are equal when they are of one class, and their attributes named in *compare_attrs* are equal.
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


def bytes2unicode(x: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """
    Bytes as text; other values unchanged.
    """
    return x.decode(encoding, errors) if isinstance(x, bytes) else x


def unicode2bytes(x: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """
    Text as bytes; other values unchanged.
    """
    return x.encode(encoding, errors) if isinstance(x, str) else x


def s(step_class: Any, **arguments: Any) -> Any:
    """
    The step that *step_class* makes of *arguments*, as factories of Buildbot 0.7 were written.
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
    Report a mistake of the configuration, at the line of the call.
    """
    note(str(error))
