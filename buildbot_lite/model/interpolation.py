"""
Interpolation of a build's values into text: ``Interpolate("%(prop:branch:-main)s of %(src::repository)s")``.

The syntax is Buildbot's::

    %(prop:NAME)s           a property              %(src:CODEBASE:NAME)s   of the source: branch, revision, repository…
    %(kw:NAME)s             a keyword argument      %(slave:NAME)s          of the slave: its name
    %(secret:NAME)s         a secret                %(worker:NAME)s         the same
    %s                      the next positional     %%                      a percent sign
                            argument

All but secrets accept a suffix for an absent or false value::

    :-TEXT          TEXT if there is no value               :+TEXT              TEXT if there is one, else empty
    :~TEXT          TEXT if there is none, or a false one   :?|TEXT|OTHER       TEXT if there is one, else OTHER
                                                            :#?|TEXT|OTHER      TEXT if it is true, else OTHER

where ``|`` is any one character, and TEXT may itself contain interpolations.  None counts as absent.  Without a suffix,
an absent value becomes the empty string.  Formats other than ``s`` are Python's: ``%(prop:buildnumber)05d``.

The text is parsed once, when the configuration is read, so that a mistake is reported with its line of master.cfg.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from ..errors import ConfigError, PropertyError
from .operations import Operators
from .rendering import (
    View,
    checked_secret_name,
    render,
)
from .spec import secret_reference

_FORMAT = re.compile(r"[#0\- +]*\d{0,4}(?:\.\d{1,4})?[diouxXeEfFgGcrsa]")
_DEEPEST = 10


@frozen
class InterpolateArguments:
    """
    The rendered arguments of an `Interpolate`, and the build's values.
    """

    view: View
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


class Piece(Protocol):
    """
    A parsed part of the text.
    """

    def text(self, arguments: InterpolateArguments) -> str:
        """
        The text of this part for one build.
        """


Pieces: TypeAlias = tuple[Piece, ...]


@frozen
class Literal:
    """
    Literal text.
    """

    words: str

    def text(self, arguments: InterpolateArguments) -> str:
        return self.words


@frozen
class Positional:
    """
    The positional argument *index*, counted from 0.
    """

    index: int
    format: str

    def text(self, arguments: InterpolateArguments) -> str:
        """
        The argument, formatted.
        """
        return _formatted(self.format, arguments.args[self.index], f"argument {self.index + 1}")


@frozen
class SecretPiece:
    """
    A reference to the secret *name*.
    """

    name: str

    def text(self, arguments: InterpolateArguments) -> str:
        """
        The reference to the secret, which the keeper replaces by the value.
        """
        return secret_reference(self.name)


@frozen
class Lookup:
    """
    The value with this *kind* and *name*, or its replacement.

    *codebase*: for a value of the source.  *present*: the text if there is a value; None: the value itself.  *absent*:
    the text if there is none.  *by_truth*: whether false values count as absent.
    """

    kind: str
    name: str
    format: str
    codebase: str = ""
    present: Pieces | None = None
    absent: Pieces = ()
    by_truth: bool = False

    def text(self, arguments: InterpolateArguments) -> str:
        """
        The value, formatted, or its replacement.
        """
        value = self._value(arguments)
        counts = bool(value) if self.by_truth else value is not None
        if counts and self.present is None:
            return _formatted(self.format, value, f"{self.kind}:{self.name}")
        return "".join([piece.text(arguments) for piece in ((self.present or ()) if counts else self.absent)])

    def _value(self, arguments: InterpolateArguments) -> Any:
        view = arguments.view
        if self.kind == "prop":
            return view.getProperty(self.name)
        if self.kind == "kw":
            return arguments.kwargs.get(self.name)
        values = view.slave if self.kind == "slave" else view.sources.get(self.codebase, {})
        return values.get(self.name)


class Interpolate(Operators):
    """
    Text with values of the build; this module's docstring describes the syntax.

    Positional arguments replace ``%s``, keyword arguments ``%(kw:name)s``; a text may use only one of the two.  The
    attribute *secrets* has the names of the secrets in it, *needed* those of the properties without a replacement.
    """

    def __init__(self, fmtstring: str, *args: Any, **kwargs: Any) -> None:
        if not isinstance(fmtstring, str):
            raise ConfigError(f"Interpolate needs text, not {fmtstring!r:.60}.")
        if args and kwargs:
            raise ConfigError("Interpolate takes either positional or keyword arguments, not both.")
        self.fmtstring, self._args, self._kwargs = fmtstring, list(args), kwargs
        parser = _Parser(fmtstring, kwargs)
        self._pieces = parser.parsed(len(args))
        self.secrets = tuple(parser.secrets)
        self.needed = tuple(dict.fromkeys(parser.needed))

    async def getRenderingFor(self, props: View) -> str:
        """
        The text for one build.
        """
        arguments = InterpolateArguments(props, await render(self._args, props), await render(self._kwargs, props))
        return "".join([piece.text(arguments) for piece in self._pieces])

    def __repr__(self) -> str:
        return f"Interpolate({self.fmtstring!r:.100})"


class _Parser:
    def __init__(self, text: str, keywords: Collection[str]) -> None:
        self._text = text
        self._keywords = keywords
        self._positional = 0
        self.secrets: list[str] = []
        self.needed: list[str] = []

    def parsed(self, arguments: int) -> Pieces:
        pieces = self._pieces(self._text, 0)
        if self._positional != arguments:
            raise ConfigError(
                f"{self._text!r:.100} needs {self._positional} positional arguments; {arguments} were given."
            )
        return pieces

    def _pieces(self, text: str, depth: int) -> Pieces:
        if depth > _DEEPEST:
            raise self._wrong("is nested more than 10 deep")
        pieces: list[Piece] = []
        at = 0
        while (percent := text.find("%", at)) >= 0:
            pieces.append(Literal(text[at:percent]))
            at = percent + 1
            if text.startswith("%", at):
                pieces.append(Literal("%"))
                at += 1
                continue
            key = None
            if text.startswith("(", at):
                end = self._closing(text, at)
                key = text[at + 1 : end]
                at = end + 1
            match = _FORMAT.match(text, at)
            if match is None:
                raise self._wrong(
                    f"has a % that is not followed by a format like s; write %% for a percent sign{_after(key)}"
                )
            at = match.end()
            pieces.append(self._piece(key, "%" + match.group(), depth))
        pieces.append(Literal(text[at:]))
        return tuple(piece for piece in pieces if piece != Literal(""))

    def _closing(self, text: str, at: int) -> int:
        level = 0
        for end in range(at, len(text)):
            level += {"(": 1, ")": -1}.get(text[end], 0)
            if level == 0:
                return end
        raise self._wrong("has a parenthesis that is never closed")

    def _piece(self, key: str | None, format: str, depth: int) -> Piece:  # noqa: A002 - its name in Python
        if key is None:
            self._positional += 1
            return Positional(self._positional - 1, format)
        kind, colon, remainder = key.partition(":")
        kind = "slave" if kind == "worker" else kind
        if not colon or kind not in ("prop", "src", "kw", "slave", "secret"):
            raise self._wrong(f"has %({key:.60}), which is none of prop:, src:, kw:, slave:, worker: and secret:")
        if kind == "secret":
            if format != "%s":
                raise self._wrong("has a secret in another format than s")
            self.secrets.append(checked_secret_name(remainder))
            return SecretPiece(remainder)
        codebase = ""
        if kind == "src":
            codebase, colon, remainder = remainder.partition(":")
            if not colon:
                raise self._wrong(f"has %({key:.60}), which lacks the codebase: write %(src::{codebase:.40})s")
        name, replaced, replacement = remainder.partition(":")
        if not name:
            raise self._wrong(f"has %({key:.60}), which lacks a name after the colon")
        if kind == "kw" and name not in self._keywords and not replaced:
            raise self._wrong(f"has %(kw:{name:.60}), and no such keyword argument was given")
        lookup = Lookup(kind, name, format, codebase)
        if kind == "prop" and not replaced:
            self.needed.append(name)
        return self._replaced(lookup, replacement, depth) if replaced else lookup

    def _replaced(self, lookup: Lookup, replacement: str, depth: int) -> Lookup:
        def pieces(text: str) -> Pieces:
            return self._pieces(text, depth + 1)

        signature = (lookup.kind, lookup.name, lookup.format, lookup.codebase)
        if replacement.startswith("-"):
            return Lookup(*signature, absent=pieces(replacement[1:]))
        if replacement.startswith("~"):
            return Lookup(*signature, absent=pieces(replacement[1:]), by_truth=True)
        if replacement.startswith("+"):
            return Lookup(*signature, present=pieces(replacement[1:]))
        by_truth = replacement.startswith("#")
        ternary = replacement[by_truth:]
        if ternary.startswith("?"):
            parts = ternary[2:].split(ternary[1:2]) if len(ternary) > 1 else []
            if len(parts) != 2:
                raise self._wrong(f"has :{replacement:.40}, where :?|one|other needs two texts after its | ")
            return Lookup(*signature, present=pieces(parts[0]), absent=pieces(parts[1]), by_truth=by_truth)
        raise self._wrong(f"has :{replacement:.40}, which begins with none of - ~ + ? #?")

    def _wrong(self, explanation: str) -> ConfigError:
        return ConfigError(f"Interpolate: {self._text!r:.100} {explanation.strip()}.")


def _after(key: str | None) -> str:
    return "" if key is None else f" (after %({key:.40}))"


def _formatted(format: str, value: Any, what: str) -> str:  # noqa: A002
    if format == "%s":
        return "" if value is None else str(value)
    try:
        return str(format % (value,))
    except (TypeError, ValueError, OverflowError) as error:
        raise PropertyError(f"Interpolate: {what} is {value!r:.60}, which {format!r} cannot show: {error}.") from None
