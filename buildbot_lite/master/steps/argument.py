"""
Declaring the arguments of a step, each once::

    class Wait(BuildStep):
        delay = argument(checks.seconds, default=5)
        reason = argument(checks.text, default=None, positional=True)

    Wait("the mirror is slow", delay=60)        # step.delay == 60.0, or what it is rendered to

A subclass changes a default with a plain attribute (``delay = 10``).  An `Argument` is a descriptor without
``__set__``: the attribute is its default until the constructor, or a build, sets it on the step.

Steps written for 0.1.0 have a table ``arguments`` (name → check), plain attributes as defaults, and the parallel lists
``positional``, ``aliases``, ``nullable`` and ``without_effect``.  Stored generations contain such steps, so
`declaration` reads both forms.  Such a step may extend the lists of a shipped step, as in
``positional = (*ShellCommand.positional, "x")``; `Table` computes them.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from ...model.rendering import PLAIN, is_renderable
from ...model.suggestions import nearest
from ..config.argument_fit import note_unknown
from ..config.arguments import ArgumentChecker
from ..config.mistakes import MISSING, note
from .master_paths import check_beginning

Check: TypeAlias = Callable[[ArgumentChecker, str, Any], Any]
"""``check(checker, name, value)`` returns the value to use, or notes a mistake.  `argument_checks` has the usual."""


@frozen(eq=False)
class Argument:
    """
    One argument of a step class: the parameters of `argument`, as an attribute of the class.
    """

    check: Check
    default: Any = MISSING
    nullable: bool = False
    positional: bool = False
    aliases: tuple[str, ...] = ()
    rendered: bool = True

    def __get__(self, step: object, owner: object = None) -> Any:
        return self.default


def argument(
    check: Check,
    *,
    default: Any = MISSING,
    nullable: bool = False,
    positional: bool = False,
    aliases: Sequence[str] = (),
    rendered: bool = True,
) -> Any:
    """
    Declare an argument, in the body of a step class.

    *check*: ``check(checker, name, value)``.  A value that needs no rendering is checked when the configuration is
    read; a rendered one in each build.
    *default*: the value when none is given; without a default, the argument is required.
    *nullable*: whether None is a value of the argument; otherwise None counts as not given.
    *positional*: whether it may be given without its name.  The order is that of the declarations.
    *aliases*: other names for it.
    *rendered*: whether each build renders it (properties, secrets) before ``run``.
    """
    return Argument(check, default, nullable, positional, tuple(aliases), rendered)


def ignored(default: Any = None) -> Any:
    """
    Declare an argument that is accepted because Buildbot's step has it, and that has no effect here.  *default*: its
    value, for steps that extend it.
    """
    return Argument(_anything, default, rendered=False)


@frozen
class Declaration:
    """
    Everything that a step class and its bases declare.

    *positional*: arguments that may be given without their names, in order.  *renderables*: further attributes that a
    build renders, as Buildbot's steps list them.  *parameters*: named parameters of constructors.
    """

    arguments: Mapping[str, Argument]
    positional: tuple[str, ...]
    renderables: tuple[str, ...]
    parameters: tuple[str, ...]
    names: Mapping[str, str] = field(init=False)
    """Each name by which an argument may be given → the argument."""

    @names.default
    def _names(self) -> Mapping[str, str]:
        return {name: key for key, each in self.arguments.items() for name in (key, *each.aliases)}


class Table:
    """
    A table of 0.1.0 as an attribute of step classes.  It is computed from the declaration, without the arguments that
    all steps have.  A class with a table of the same name in its body has that one instead.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._base, self._name = owner, name

    def __get__(self, step: object, owner: type) -> Any:
        declared, common = declaration(owner), vars(self._base)
        own = {name: each for name, each in declared.arguments.items() if name not in common}
        match self._name:
            case "arguments":
                return MappingProxyType({name: each.check for name, each in own.items() if not _is_ignored(each)})
            case "positional":
                return declared.positional
            case "aliases":
                return MappingProxyType({alias: name for name, each in own.items() for alias in each.aliases})
            case "nullable":
                return tuple(name for name, each in own.items() if each.nullable)
            case _:
                return tuple(name for name, each in own.items() if _is_ignored(each))


def declaration(cls: type) -> Declaration:
    """
    The declaration of *cls*, computed at its first use.
    """
    found = vars(cls).get("_declaration")
    if not isinstance(found, Declaration):
        # Stored on the class: a global cache would keep the classes of all configurations that were ever loaded.
        found = _declare(cls)
        type.__setattr__(cls, "_declaration", found)
    return found


def take(step: Any, values: Sequence[Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Set the attributes of *step* from the arguments of its constructor: *values* are positional, *given* are by name.
    Mistakes are noted.

    Returns name → value of the arguments that a build need neither render nor check, unless another object was
    assigned to the attribute since.
    """
    declared, what = declaration(type(step)), type(step).__name__
    given = _named(step, declared.positional, values, given)
    if unknown := given.keys() - declared.names.keys():
        note_unknown(what, sorted(unknown), [*declared.parameters, *declared.names], of=step)
    # The place is that of the step: a check may be a function in master.cfg, and the mistake is not in its line.
    checker = ArgumentChecker(what, step, place=step.recipe.place)
    final: dict[str, Any] = {}
    for name, declared_as in declared.arguments.items():
        names = [each for each in (name, *declared_as.aliases) if each in given]
        if len(names) > 1:
            checker.note(f"{' and '.join(names)} mean the same argument; give one of them.")
        if names and (given[names[0]] is not None or declared_as.nullable):
            setattr(step, name, given[names[0]])
        value = getattr(step, name, declared_as.default)
        if declared_as.rendered and is_renderable(value):
            check_beginning(checker, name, declared_as.check, value)
        elif value is not MISSING and value is not None:
            checked = declared_as.check(checker, name, value)
            if checked is not value:
                setattr(step, name, checked)
            value = checked
        if isinstance(value, PLAIN):
            final[name] = value
    return final


def note_missing(step: Any) -> None:
    """
    Note each required argument that *step* does not have.

    Called when all constructors have returned, because one in master.cfg may set an attribute after it called that of
    its base class.
    """
    what, given = type(step).__name__, step.recipe.kwargs
    # Such a step may set its command when it starts.
    late = {"command"} if type(step).is_old_style() else set()
    declared = declaration(type(step))
    meant = {nearest(name, declared.names) for name in given if name not in declared.names}
    for name, declared_as in declared.arguments.items():
        if getattr(step, name, declared_as.default) is MISSING and name not in meant | late:
            note(f"{what} needs the argument {name!r}.", step.recipe.place, of=step)


def _named(step: object, positional: Sequence[str], values: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    what = type(step).__name__
    if len(values) > len(positional):
        known = f"only {' and '.join(positional)}" if positional else "no argument"
        note(f"{what} takes {known} without a name; give each of the others as name=value.", of=step)
    named = dict(zip(positional, values, strict=False))
    for name in sorted(named.keys() & given.keys()):
        note(f"{what} has the argument {name!r} twice: by its place and by its name.", of=step)
    return {**named, **given}


def _declare(cls: type) -> Declaration:
    arguments: dict[str, Argument] = {}
    positional: list[str] = []
    renderables: dict[str, None] = {}
    for each in reversed(cls.__mro__):
        own = vars(each)
        arguments.update(_of_0_1_0(own, arguments))
        for name, value in own.items():
            if isinstance(value, Argument):
                arguments[name] = value
                if value.positional and name not in positional:
                    positional.append(name)
        # Buildbot's older form of a declaration: a list of names.
        arguments.update({name: Argument(_anything, None) for name in own.get("parms", ()) if name not in arguments})
        if isinstance(listed := own.get("positional"), (tuple, list)):
            positional = list(listed)
        renderables.update(dict.fromkeys(own.get("renderables", ())))
    return Declaration(arguments, tuple(positional), tuple(renderables), tuple(_parameters(cls)))


def _of_0_1_0(own: Mapping[str, Any], inherited: Mapping[str, Argument]) -> dict[str, Argument]:
    # The tables of 0.1.0 in one class body.  The default is the attribute of the same name.
    def table(name: str) -> Any:
        found = own.get(name, ())
        return () if isinstance(found, (Argument, Table)) else found

    changed: dict[str, Argument] = {}

    def change(name: str, **changes: Any) -> None:
        before = changed.get(name) or inherited.get(name) or Argument(_anything)
        changed[name] = evolve(before, **changes)

    for name, check in dict(table("arguments")).items():
        change(name, check=check)
    for name in table("nullable"):
        change(name, nullable=True)
    for alias, name in dict(table("aliases")).items():
        before = changed.get(name) or inherited.get(name)
        known = before.aliases if before else ()
        change(name, aliases=known if alias in known else (*known, alias))
    for name in table("without_effect"):
        changed[name] = ignored()
    return changed


def _is_ignored(each: Argument) -> bool:
    return each.check is _anything and not each.rendered


def _parameters(cls: type) -> Iterator[str]:
    for each in cls.__mro__[:-1]:
        if (init := vars(each).get("__init__")) is not None:
            for parameter in list(inspect.signature(init).parameters.values())[1:]:
                if parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
                    yield parameter.name


def _anything(checker: ArgumentChecker, name: str, value: Any) -> Any:
    return value
