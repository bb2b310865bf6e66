"""
Checks that the calls of constructors in a master.cfg fit their signatures.
"""

import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from ...model.suggestions import did_you_mean, nearest
from .buildbot_table import Treatment
from .buildbot_words import Word, argument_of
from .executed_line import as_written
from .mistakes import MISSING, loading, note, remark
from .overrides import check_overrides, is_shipped


def fitting_arguments(
    function: Callable[..., object],
    what: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    skip: int = 1,
    cls: type | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Return the part of *args* and *kwargs* with which *function* can be called, with `MISSING` for each required
    argument that is not given.  A mistake is noted for each argument that does not fit or is missing.

    *what*: the subject of the sentences.  *skip*: how many of the first parameters (``self``) are not arguments.
    *cls*: the class whose constructor it is.
    """
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if len(args) > len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        note(f"{what} takes at most {len(positional)} arguments without a name, and was given {len(args)}.")
        args = args[: len(positional)]
    fits = dict(kwargs)
    suggestions: set[str | None] = set()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        suggestions = note_unknown(what, kwargs, named, cls=cls)
        fits = {name: value for name, value in kwargs.items() if name in named}
    for parameter in positional[: len(args)]:
        if parameter.name in fits:
            note(f"{what} was given {parameter.name!r} twice.")
            del fits[parameter.name]
    for parameter in parameters:
        given = parameter in positional[: len(args)] or parameter.name in fits
        needed = parameter.default in (parameter.empty, MISSING)
        if given or parameter.name not in named or not (needed or parameter.default is None):
            continue
        if needed and parameter.name not in suggestions:
            note(f"{what} needs the argument {parameter.name!r}.")
        if needed or parameter.name in suggestions:
            fits[parameter.name] = MISSING
    return args, fits


def argument_names(cls: type) -> list[str]:
    """
    The names of the arguments of *cls*, with those of its base classes.
    """
    names: dict[str, None] = {}
    for each in cls.__mro__:
        if "__init__" in vars(each) and each is not object:
            parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            names.update(
                {parameter.name: None for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
            )
    return [name for name in names if name != "self"]


def note_unknown(
    what: str, given: Iterable[str], known: Iterable[str], *, of: object = None, cls: type | None = None
) -> set[str | None]:
    """
    Note each of the names *given* that is not *known*, with the nearest known name.  Return these nearest names, so
    that the caller does not report them as missing.

    For an argument that Buildbot has, and that is not here, the sentence is that of the table of Buildbot's words.
    *of*: the object under construction, which has the line; *cls*: its class, if *of* is not given.
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    classes = [what, *(each.__name__ for each in (cls or type(of)).__mro__)]
    for name in unknown:
        if (word := argument_of(classes, name)) is not None:
            say = remark if word.treatment is Treatment.TAKEN else note
            say(_as_used(word, cls or type(of)).sentence, of=of)
    unknown = [name for name in unknown if argument_of(classes, name) is None]
    for name in unknown:
        note(f"{what} has no argument {name!r}.{did_you_mean(name, known)}", of=of)
    return {nearest(name, known) for name in unknown}


def _as_used(word: Word, cls: type) -> Word:
    """
    The argument *word*, which may be that of a base class that no configuration names, of the class from which *cls* is
    made.
    """
    shipped = next((each for each in cls.__mro__ if is_shipped(each)), cls)
    of_base = word.where.rpartition(".")[2] in {each.__name__ for each in shipped.__mro__[1:]}
    return word.of_class(shipped.__name__) if of_base else word


def written_name(constructed: Any) -> str:
    """
    The name of the class of an object of a master.cfg, as the line that constructs it has it.
    """
    cls = type(constructed)
    return as_written(cls.__name__, *getattr(cls, "also_called", ()), of=constructed)


class NotingType(ABCMeta):
    """
    The metaclass of the objects of a master.cfg.  A call that does not fit the constructor is noted as a mistake, not
    raised; so is the call of ``super().__init__`` in a subclass.

    A class's *also_called* are other names under which configurations use it, for sentences about it.

    An object's method ``constructed``, if it has one, is called when all its constructors have returned.  It is an
    ABCMeta, so that a class of a configuration may have abstract base classes as well.
    """

    also_called: tuple[str, ...] = ()

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **more: Any) -> None:
        super().__init__(name, bases, namespace, **more)
        if inspect.isfunction(own := namespace.get("__init__")):
            type.__setattr__(cls, "__init__", _noting(own, name))
        if loading() and not is_shipped(cls):
            check_overrides(cls, namespace)


def _noting(init: Callable[..., None], owner: str) -> Callable[..., None]:
    @wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        outermost = type(self).__init__ is noting
        what = written_name(self) if outermost else owner
        if loading():
            args, kwargs = fitting_arguments(init, what, args, kwargs, cls=type(self))
            init(self, *args, **kwargs)
        else:
            # A build makes its steps from arguments that were checked during the load, so check only after a failure.
            try:
                init(self, *args, **kwargs)
            except TypeError:
                fitting_arguments(init, what, args, kwargs)
                raise
        if outermost and (constructed := inspect.getattr_static(self, "constructed", None)):
            constructed(self)

    return noting
