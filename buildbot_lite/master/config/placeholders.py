"""
Placeholders for words that buildbot_lite does not have.

When master.cfg uses such a word, it is noted once, and loading continues with a placeholder, so that the first
``checkconfig`` lists all mistakes.  A placeholder can be used in all ways in which the word may be used: called,
subclassed, as a decorator, iterated, or for its attributes.  None of these uses is noted again.

It is a class, so that a class of the configuration can be derived from it, also together with one of buildbot_lite's
classes: its metaclass is derived from theirs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ...model.suggestions import did_you_mean
from .argument_fit import NotingType
from .buildbot_table import Treatment
from .buildbot_words import WORDS, Word, find
from .executed_line import asked_for_here, handled_here
from .mistakes import loading, missing_names, note_once, remark

_PYTHON_2 = {
    "basestring": "str",
    "execfile": "exec(open(path).read())",
    "file": "open",
    "long": "int",
    "raw_input": "input",
    "reduce": "functools.reduce",
    "reload": "importlib.reload",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}


class PlaceholderType(NotingType):
    """
    The metaclass of placeholders.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - a metaclass
        """
        Make an instance.  The name in its arguments is kept in `missing_names`, because other objects may refer to it.
        """
        for argument in kwargs:
            _tell(find(cls.word, argument))
        try:
            placeholder = super().__call__(*args, **kwargs)
        except Exception:  # noqa: BLE001 - a class of the configuration without its real base may raise anything
            placeholder = Placeholder()
        name = kwargs.get("name", args[0] if args else "")
        if isinstance(name, str):
            missing_names().add(name)
        return placeholder

    def __getattr__(cls, name: str) -> Any:  # noqa: N805 - a metaclass
        return _part(cls.__name__, name)

    def __iter__(cls) -> Iterator[Any]:  # noqa: N805 - a metaclass
        return iter(())


class Placeholder(metaclass=PlaceholderType):
    """
    An object of a class that does not exist here.
    """

    word = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return _part(type(self).__name__, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __contains__(self, item: object) -> bool:
        return False

    def __fspath__(self) -> str:
        return self.word

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def _itself(self: object, *other: object) -> object:
    return self


def _no(self: object, other: object) -> bool:
    return False


_OPERATORS = "add radd sub rsub mul rmul mod rmod or ror and rand truediv getitem enter"
for _class in (Placeholder, PlaceholderType):
    for _name in _OPERATORS.split(" "):
        setattr(_class, f"__{_name}__", _itself)
    for _name in ("lt", "le", "gt", "ge"):
        setattr(_class, f"__{_name}__", _no)


def placeholder(word: str) -> Any:
    """
    A new placeholder for *word*.
    """
    # A new class each time, because the configuration may set attributes that others must not see.
    return PlaceholderType(word.rpartition(".")[2], (Placeholder,), {"word": word, "__module__": "buildbot"})


def is_placeholder(value: object) -> bool:
    """
    Whether *value* is a placeholder, or an object or class that a configuration derived from one.
    """
    return isinstance(type(value), PlaceholderType) or isinstance(value, PlaceholderType)


def holds_placeholder(value: object) -> bool:
    """
    Whether *value* is a placeholder, or a list, tuple, set or dictionary with one in it.
    """
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(holds_placeholder, value))
    if isinstance(value, Mapping):
        return any(holds_placeholder(key) or holds_placeholder(item) for key, item in value.items())
    return is_placeholder(value)


def missing_word(where: str, word: str, known: list[str]) -> Any:
    """
    A placeholder for *word*, which the namespace *where* does not have.  The mistake is noted, with a remedy.

    *known*: the words of the namespace.  AttributeError outside a load, and where the configuration handles it.
    """
    entry = find(where, word)
    sentence = entry.sentence if entry else f"{where} has no {word!r}.{did_you_mean(word, known)}"
    if not loading() or handled_here(AttributeError, ImportError) or asked_for_here(word):
        raise AttributeError(sentence)
    if entry is None:
        note_once(sentence)
    else:
        _tell(entry)
    return placeholder(f"{where}.{word}")


def missing_name(name: str) -> Any:
    """
    A placeholder for *name*, which is not defined.  The mistake is noted.

    KeyError, which Python turns into NameError, outside a load, and where the configuration handles NameError.
    """
    if name.startswith("__") or not loading() or handled_here(NameError):
        raise KeyError(name)
    entry = next((word for word in WORDS.values() if word.name == name and word.where != "c"), None)
    if entry is not None:
        _tell(entry)
    else:
        python2 = f"  It is a name of Python 2; write {_PYTHON_2[name]}." if name in _PYTHON_2 else ""
        note_once(f"The name {name!r} is not defined.{python2}")
    return placeholder(name)


def missing_module(name: str) -> None:
    """
    Note that there is no module *name* of Buildbot here.  ModuleNotFoundError outside a load, and where the
    configuration handles ImportError.
    """
    sentence = f"There is no module {name} here.  Import words from buildbot_lite.plugins."
    if not loading() or handled_here(ImportError):
        raise ModuleNotFoundError(sentence, name=name)
    note_once(sentence)


def _tell(word: Word | None) -> None:
    if word is None:
        return
    if word.treatment is Treatment.TAKEN:
        remark(word.sentence)
    else:
        note_once(word.sentence)


def _part(owner: str, name: str) -> Any:
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    return placeholder(f"{owner}.{name}")
