"""
Parameters of a `ForceScheduler`: the values that may be given with a forced build, and their checks.
"""

# ruff: noqa: N802 - names are Buildbot's

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ...errors import InputError
from ...model.properties import LARGEST_VALUE, Json
from ...model.user_functions import error_text, limited
from .argument_fit import NotingType, note_unknown, written_name
from .arguments import ArgumentChecker, as_list
from .executed_line import current_line
from .mistakes import remark

ANY_SLAVE = "any"
"""The value of `WorkerChoiceParameter` with which the farm chooses the slave."""
_LOOKS = ("tablabel", "size", "cols", "rows", "layout", "columns", "debug", "hide", "sort")
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0", "")
# No two parts of the pattern can match the same character, so that no text takes long to match.
_ADDRESS = re.compile(r"[^\s@]+@\S+\Z|[^<\n]*<[^\s@]+@\S+>\Z")
_A_NAME = "A U Thor <a@example.org>"


class BaseParameter(metaclass=NotingType):
    """
    One value that may be given with a forced build.

    *name*: the name of the property.  *label*: its name for people.  *default*: the value if none is given.
    *required*: whether a value must be given; default False.  *regex*: a regular expression that must match at the
    beginning of the value.  *maxsize*: the largest size in bytes.  *multiple*: whether the value is a list.
    *autopopulate*: a dictionary: value → a dictionary of the values that other parameters get when this one has that
    value and they are not given.  *tooltip*: a sentence about it, which the form shows.

    Without effect: arguments that concern the look of a form (*size*, *cols*, *rows*, *layout*, *columns*,
    *tablabel*, *hide*).
    """

    default_value: Json = ""
    default_maxsize: int = LARGEST_VALUE

    def __init__(
        self,
        name: Any,
        label: Any = None,
        *,
        default: Any = None,
        required: Any = False,
        regex: Any = None,
        maxsize: Any = None,
        multiple: Any = False,
        autopopulate: Any = None,
        tooltip: Any = None,
        **looks: Any,
    ) -> None:
        kind = written_name(self)
        self.place = current_line(self)
        self.arguments = ArgumentChecker(f"{kind} {name!r:.100}", self)
        note_unknown(kind, (each for each in looks if each not in _LOOKS), self.known_arguments(), of=self)
        self.name = self.arguments.text("name", name)
        self.label = self.name if label is None else self.arguments.text("label", label)
        self.required = self.arguments.flag("required", required)
        self.multiple = self.arguments.flag("multiple", multiple)
        self.tooltip = "" if tooltip is None else self.arguments.text("tooltip", tooltip)
        self.hide = bool(looks.get("hide"))
        self.maxsize = self.default_maxsize if maxsize is None else self.arguments.whole("maxsize", maxsize, least=1)
        self.regex = self._pattern(regex)
        self.default: Json = self.default_value if default is None else default
        self.autopopulate = self._populated(autopopulate)

    def known_arguments(self) -> Sequence[str]:
        """
        The names of the arguments that the class takes.
        """
        return (
            "name",
            "label",
            "default",
            "required",
            "regex",
            "maxsize",
            "multiple",
            "autopopulate",
            "tooltip",
            *_LOOKS,
        )

    def populates(self, given: Json) -> Mapping[str, Json]:
        """
        The values of other parameters, by name, when this one is *given*.
        """
        return self.autopopulate.get(str(given), {})

    def value(self, given: Json, builder: str = "", full_name: str = "") -> Json:
        """
        The value for the *given* text with a forced build of *builder*; None or "" means that none was given, and [],
        where several may be chosen, that none was chosen.  The text of the default is the default, as if none was
        given.
        `InputError` if it is wrong or missing, which calls the parameter by its *full_name*: that under which it is
        given, with the names of its groups; "": its own name.
        """
        name = full_name or self.name
        if given is None or given in ("", []):
            if self.required:
                raise InputError(f"{name} must be given." if name else "A value must be given.")
            return self.parsed([], builder, name) if given == [] and self.takes_none else self.default
        if isinstance(given, str) and given == self.written_default and not self.required:
            return self.default
        if len(str(given).encode()) > self.maxsize:
            raise InputError(f"{name} has {len(str(given).encode())} bytes; at most {self.maxsize} are allowed.")
        if self.regex is not None and self.regex.match(str(given)) is None:
            raise InputError(f"{name} must match {self.regex.pattern!r}, and {given!r:.80} does not.")
        return self.parsed(given, builder, name)

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        """
        Convert the text *given* to the value; `InputError` if it is wrong, which calls the parameter *name*.
        """
        return given if isinstance(given, str) else str(given)

    def parsed_default(self) -> Json:
        """
        The default, which may be a text like a given value; "" is none.  One that is not of the parameter's kind
        is kept, with a remark.
        """
        if self.default == "":
            return self.default_value
        try:
            return self.parsed(self.default, "", self.name)
        except InputError as error:
            self.arguments.remark(f"default: {error}  Builds for which no value is given get it as it is.")
            return self.default

    @property
    def takes_none(self) -> bool:
        """
        Whether none of several choices may be chosen, which is given as [].
        """
        return False

    @property
    def written_default(self) -> str:
        """
        The default as a form shows it.
        """
        return str(self.default)

    @property
    def demand(self) -> str:
        """
        The sentence of a form about the values that it takes, beside what their kind says; it may be empty.
        """
        return "" if self.regex is None else f"It must match {self.regex.pattern}"

    def getChoices(self, master: Any, scheduler: Any, buildername: str) -> Sequence[Any]:
        """
        The values to choose from, for a build of *buildername*.  Parameters that compute them override this.  *master*
        and *scheduler* are None.
        """
        return ()

    def _populated(self, autopopulate: Any) -> dict[str, Mapping[str, Json]]:
        if autopopulate is None:
            return {}
        if isinstance(autopopulate, Mapping) and all(isinstance(each, Mapping) for each in autopopulate.values()):
            return {str(value): dict(others) for value, others in autopopulate.items()}
        self.arguments.wrong("autopopulate", autopopulate, "a dictionary of dictionaries")
        return {}

    def _pattern(self, regex: Any) -> re.Pattern[str] | None:
        if regex is None or isinstance(regex, re.Pattern):
            return regex
        try:
            return re.compile(self.arguments.text("regex", regex))
        except re.error as error:
            self.arguments.note(f"regex {regex!r:.60} is not a regular expression: {error}.")
            return None


class StringParameter(BaseParameter):
    """
    A line of text.
    """


class TextParameter(BaseParameter):
    """
    Several lines of text.
    """


class FixedParameter(BaseParameter):
    """
    A parameter whose value is always *default*; to give another one is an `InputError`.  *choices* have no effect.
    """

    def __init__(self, name: Any, label: Any = None, *, choices: Any = None, **more: Any) -> None:
        super().__init__(name, label, **more)
        if choices is not None:
            remark(f"FixedParameter {name!r:.100}: choices has no effect; the value is always {self.default!r:.80}.")

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "choices")

    def value(self, given: Json, builder: str = "", full_name: str = "") -> Json:
        if given not in (None, "", self.default):
            raise InputError(f"{full_name or self.name} is fixed to {self.default!r:.80}: leave it out.")
        return self.default


class IntParameter(BaseParameter):
    """
    A whole number.
    """

    default_value = 0

    def __init__(self, name: Any, label: Any = None, **more: Any) -> None:
        super().__init__(name, label, **more)
        self.default = self.parsed_default()

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        try:
            return int(str(given))  # str() first: int() would cut the fraction of a number
        except ValueError:
            raise InputError(f"{name} must be a whole number, not {given!r:.80}.") from None


class BooleanParameter(BaseParameter):
    """
    True or False, given as true, yes, on, 1, or false, no, off, 0.
    """

    default_value = False

    def __init__(self, name: Any, label: Any = None, **more: Any) -> None:
        super().__init__(name, label, **more)
        self.default = self.parsed_default()

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        word = str(given).strip().lower()
        if word not in (*_TRUE, *_FALSE):
            raise InputError(f"{name} must be true or false, not {given!r:.80}.")
        return word in _TRUE


class UserNameParameter(BaseParameter):
    """
    The name of the person who forces the build, for the property "owner".  *need_email*: whether it must contain a mail
    address; default True.
    """

    def __init__(
        self, label: Any = "Your name:", name: Any = "username", *, need_email: Any = True, **more: Any
    ) -> None:
        super().__init__(name, label, **more)
        self.need_email = self.arguments.flag("need_email", need_email)

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "need_email")

    @property
    def demand(self) -> str:
        return f"With a mail address, like {_A_NAME}." if self.need_email else super().demand

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        if self.need_email and not _ADDRESS.match(str(given)):
            raise InputError(f'{name} must have a mail address, like "{_A_NAME}", not {given!r:.80}.')
        return str(given)


class ChoiceStringParameter(BaseParameter):
    """
    One of *choices*; with *multiple*, a list of them, given with commas.  *strict*: whether other values are refused;
    default True.
    """

    def __init__(self, name: Any, label: Any = None, *, choices: Any = (), strict: Any = True, **more: Any) -> None:
        super().__init__(name, label, **more)
        choices = as_list(choices)
        self.choices = list(choices) if isinstance(choices, (list, tuple, set, frozenset)) else []
        if not self.choices and choices not in ((), []):
            self.arguments.wrong("choices", choices, "a list")
        self.strict = self.arguments.flag("strict", strict)
        if self.multiple and isinstance(self.default, str):
            self.default = [word for each in self.default.split(",") if (word := each.strip())]

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "choices", "strict")

    @property
    def takes_none(self) -> bool:
        return self.multiple

    @property
    def written_default(self) -> str:
        if self.multiple and isinstance(self.default, (list, tuple)):
            return ",".join(map(str, self.default))
        return super().written_default

    def getChoices(self, master: Any, scheduler: Any, buildername: str) -> Sequence[Any]:
        """
        The values to choose from.
        """
        return self.choices

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        choices = self._choices(builder, name)
        words = given if isinstance(given, list) else str(given).split(",") if self.multiple else [given]
        accepted = []
        for each in words:
            word = str(each).strip() if self.multiple else str(each)
            if self.strict and word not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, not {word!r:.80}.")
            accepted.append(choices.get(word, word))
        return accepted if self.multiple else accepted[0]

    def _choices(self, builder: str, name: str) -> dict[str, Json]:
        compute = limited(self.getChoices, f"getChoices of {name}")
        try:
            return {str(each): each for each in compute(None, None, builder)}
        except Exception as error:  # the method of a class in master.cfg
            raise InputError(f"The choices of {name} could not be computed: {error_text(error)}.") from error


class WorkerChoiceParameter(BaseParameter):
    """
    The slave on which the build runs; "any" (default): the farm chooses it.
    """

    also_called = ("BuildslaveChoiceParameter",)
    default_value = ANY_SLAVE

    def __init__(self, name: Any = "workername", label: Any = "Slave:", **more: Any) -> None:
        super().__init__(name, label, **more)


class InheritBuildParameter(BaseParameter):
    """
    An earlier build, as "builder/number", whose forced properties the build gets.  *compatible_builds* has no effect.
    """

    def __init__(self, name: Any, label: Any = None, *, compatible_builds: Any = None, **more: Any) -> None:
        super().__init__(name, label, **more)
        if compatible_builds is not None:
            remark(f"InheritBuildParameter {name!r:.100}: compatible_builds has no effect; any build may be given.")

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "compatible_builds")

    def parsed(self, given: Json, builder: str, name: str) -> Json:
        if not re.match(r".+/[0-9]{1,9}\Z", str(given)):
            raise InputError(f'{name} must be a build, like "linux/12", not {given!r:.80}.')
        return str(given)


class AnyPropertyParameter(BaseParameter):
    """
    Allows to give any further property.
    """

    def __init__(self, name: Any = "", label: Any = None, **more: Any) -> None:
        super().__init__(name, label, **more)


class FileParameter(TextParameter):
    """
    The contents of a file.
    """


Leaf: TypeAlias = tuple[tuple[str, ...], BaseParameter]
