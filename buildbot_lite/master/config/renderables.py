"""
Buildbot's other renderables: ``WithProperties``, ``Transform``, ``FlattenList``, and the interfaces that classes of a
configuration declare.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zope.interface import Attribute, Interface, classImplements

from ...errors import PropertyError
from ...model.interpolation import Interpolate
from ...model.operations import Operation, Operators
from ...model.properties import Properties
from ...model.rendering import Property, Secret, View, render, renderer
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .mistakes import uses_property

_REPLACED = re.compile(r"(.*?):([-~+])(.*)", re.DOTALL)


class IRenderable(Interface):
    """
    An object that has a value for each build.
    """

    getRenderingFor = Attribute("getRenderingFor(props): the value for the build *props*, or an awaitable of it.")


class IProperties(Interface):
    """
    The properties of a build.
    """

    getProperty = Attribute("getProperty(name, default=None): the value of a property.")
    hasProperty = Attribute("hasProperty(name): whether there is such a property.")
    setProperty = Attribute("setProperty(name, value, source): give the build a property.")
    getProperties = Attribute("getProperties(): all properties.")


class WithProperties(Operators, metaclass=NotingType):
    """
    Text with properties of the build, in Buildbot's form before ``Interpolate``.

    ``WithProperties("%s-%s", "branch", "revision")``: each ``%s`` is replaced by one of the named properties, in order.
    ``WithProperties("%(branch)s")``: a property by its name.  ``%(branch:-TEXT)s`` is TEXT if the property does not
    exist, ``%(branch:~TEXT)s`` also if it is empty, zero or False; ``%(branch:+TEXT)s`` is TEXT if it exists, and
    otherwise empty.  *lambda_subs*: name → a function of the build that returns the value for that name.

    `PropertyError` if a property without a replacement does not exist; None becomes the empty text.
    """

    def __init__(self, fmtstring: Any, *args: Any, **lambda_subs: Any) -> None:
        checker = ArgumentChecker("WithProperties", self)
        self.fmtstring = checker.text("fmtstring", fmtstring)
        self.args = [checker.text("the name of a property", name) for name in args]
        self.lambda_subs = {name: checker.function(name, value) for name, value in lambda_subs.items()}
        if args and lambda_subs:
            checker.note("it takes either names in order or functions, not both.")
        tried = _Tried()
        try:
            # The value 0 can be formatted with all conversions.
            self.fmtstring % (tuple(0 for _ in args) if args else tried)
        except (TypeError, ValueError) as error:
            checker.note(f"{self.fmtstring!r:.100} does not fit its {len(args)} names: {error}.")
        for key in (*self.args, *tried.keys_used):
            if not _REPLACED.fullmatch(key) and key not in self.lambda_subs:
                uses_property(key, of=self)

    async def getRenderingFor(self, props: View) -> str:
        """
        The text for one build.
        """
        computed = {name: await render(renderer(each), props) for name, each in self.lambda_subs.items() if each}
        values = _Values(props, computed)
        try:
            return str(self.fmtstring % (tuple(values[name] for name in self.args) if self.args else values))
        except (TypeError, ValueError) as error:
            raise PropertyError(f"WithProperties: {self.fmtstring!r:.100} cannot be filled in: {error}.") from None

    def __repr__(self) -> str:
        return f"WithProperties({self.fmtstring!r:.100})"


class Transform(Operators, metaclass=NotingType):
    """
    The result of *function*, called with *args* and *kwargs*.  All of them are rendered first, also *function*.
    """

    def __init__(self, function: Any, *args: Any, **kwargs: Any) -> None:
        self._function = function
        if not hasattr(function, "getRenderingFor"):
            ArgumentChecker("Transform", self).function("function", function)
        self._args = list(args)
        self._kwargs = kwargs

    async def getRenderingFor(self, props: View) -> Any:
        """
        The result for one build; `PropertyError` if the function raises.
        """
        function = await render(self._function, props)
        if not callable(function):
            raise PropertyError(f"Transform: {function!r:.60} is not a function.")

        def call(view: View, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        call.__name__ = getattr(function, "__name__", type(function).__name__)
        return await renderer(call, *self._args, **self._kwargs).getRenderingFor(props)


class FlattenList(Operators, metaclass=NotingType):
    """
    *nestedlist* without its nesting: lists in it (or other *types*) are replaced by their elements, at any depth.
    """

    def __init__(self, nestedlist: Any, types: Any = (list, tuple)) -> None:
        self.nestedlist = nestedlist
        self.types = types if isinstance(types, type) else tuple(types)

    async def getRenderingFor(self, props: View) -> list[Any]:
        """
        The list for one build.
        """
        return list(self._flat(await render(self.nestedlist, props)))

    def __add__(self, other: Any) -> "FlattenList":
        more = other.nestedlist if isinstance(other, FlattenList) else other
        return FlattenList([self.nestedlist, more], self.types)

    def _flat(self, values: Any) -> Iterator[Any]:
        for value in values:
            if isinstance(value, self.types):
                yield from self._flat(value)
            else:
                yield value


class _Tried(Mapping[str, int]):
    """
    Records the names that a format needs; each has the value 0.
    """

    def __init__(self) -> None:
        self.keys_used: list[str] = []

    def __getitem__(self, key: str) -> int:
        self.keys_used.append(key)
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_used)

    def __len__(self) -> int:
        return len(self.keys_used)


class _Values(Mapping[str, Any]):
    """
    The values for one build: name, with or without a replacement → value.
    """

    def __init__(self, props: View, computed: Mapping[str, Any]) -> None:
        self._props = props
        self._computed = computed

    def __getitem__(self, key: str) -> Any:
        match = _REPLACED.fullmatch(key)
        name, sign, replacement = match.groups() if match else (key, "", "")
        is_set = name in self._computed or self._props.hasProperty(name)
        value = self._computed[name] if name in self._computed else self._props.getProperty(name)
        if sign == "+":
            return replacement if is_set else ""
        if not is_set and not sign:
            raise PropertyError(
                f"WithProperties: the build has no property {name!r:.60}; %({name:.60}:-)s would be empty then."
            )
        if not is_set or (sign == "~" and not value):
            return replacement
        return "" if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._props.getProperties())

    def __len__(self) -> int:
        return len(self._props.getProperties())


_PROVIDERS = {
    IRenderable: (Interpolate, Operation, Property, Secret, WithProperties, Transform, FlattenList, renderer),
    IProperties: (View, Properties),
}
for _interface, _classes in _PROVIDERS.items():
    for _class in _classes:
        classImplements(_class, _interface)  # type: ignore[misc]  # mypy-zope expects a class statement
