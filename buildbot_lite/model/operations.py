"""
Operators of renderables: ``Property("branch") == "main"`` is itself a renderable, whose value each build computes.

As in Buildbot, these are the comparisons ``== != < <= > >=``, the arithmetic ``+ - * / // %``, and the method ``in_``,
because Python would turn the result of ``in`` into True or False immediately.
"""

import operator
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError, PropertyError


def _in(one: Any, several: Any) -> Any:
    return one in several


class Operators:
    """
    Gives a class with ``getRenderingFor`` these operators.
    """

    def __eq__(self, other: object) -> Any:
        return Operation("==", operator.eq, self, other)

    def __ne__(self, other: object) -> Any:
        return Operation("!=", operator.ne, self, other)

    def __lt__(self, other: Any) -> Any:
        return Operation("<", operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return Operation("<=", operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return Operation(">", operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return Operation(">=", operator.ge, self, other)

    def __add__(self, other: Any) -> Any:
        return Operation("+", operator.add, self, other)

    def __sub__(self, other: Any) -> Any:
        return Operation("-", operator.sub, self, other)

    def __mul__(self, other: Any) -> Any:
        return Operation("*", operator.mul, self, other)

    def __truediv__(self, other: Any) -> Any:
        return Operation("/", operator.truediv, self, other)

    def __floordiv__(self, other: Any) -> Any:
        return Operation("//", operator.floordiv, self, other)

    def __mod__(self, other: Any) -> Any:
        return Operation("%", operator.mod, self, other)

    def in_(self, several: Any) -> Any:
        """
        A renderable that is true if the value is one of *several*.
        """
        return Operation("in", _in, self, several)

    __hash__ = object.__hash__


class Operation(Operators):
    """
    A renderable whose value is *function* of two rendered values.  *sign*: the operator, for people.
    """

    def __init__(self, sign: str, function: Callable[[Any, Any], Any], left: Any, right: Any) -> None:
        self._sign = sign
        self._function = function
        self._left = left
        self._right = right

    async def getRenderingFor(self, props: Any) -> Any:
        """
        The value for one build; `PropertyError` if it cannot be computed from these values.
        """
        left, right = await props.render(self._left), await props.render(self._right)
        try:
            return self._function(left, right)
        except (TypeError, ArithmeticError, ValueError) as error:
            raise PropertyError(f"{left!r:.60} {self._sign} {right!r:.60} cannot be computed: {error}.") from None

    def __bool__(self) -> bool:
        raise ConfigError(
            f"{self!r} has a value only in a build, so master.cfg cannot use it in a condition.  Give it to an "
            "argument, like doStepIf, or write a function with @util.renderer."
        )

    def __repr__(self) -> str:
        return f"{self._left!r:.60} {self._sign} {self._right!r:.60}"
