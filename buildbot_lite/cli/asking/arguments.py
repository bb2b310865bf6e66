"""
Parameter types and options of several commands: builds, requests, properties, lists that begin with the newest.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import click
from attrs import frozen

from ...errors import FileError
from ...model.input_kinds import LARGEST_TEXT
from ..command_line.build_names import BuildName
from .connection import MasterLink


class _Number(click.ParamType[int]):
    """
    The number of a build or request, from 1 on.
    """

    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
        if not digits:
            self.fail(f"{text!r:.100} is not a number from 1 on.", param, ctx)
        # Python refuses to convert thousands of digits.
        if len(digits) > len(str(MOST)) or int(digits) > MOST:
            self.fail(f"{text!r:.100} is too large: no build or request has that number.", param, ctx)
        return int(digits)


@frozen
class AskedRequest:
    """
    A request: by its *number*, or as the one of a build, the number *number* of *builder*.
    """

    number: int
    builder: str | None = None

    async def find(self, link: MasterLink) -> int:
        """
        The number of the request; `NotFoundError` if there is no such build.
        """
        if self.builder is None:
            return self.number
        answer = await link.ask({"ask": "build", "builder": self.builder, "number": self.number})
        return int(answer["build"]["request"])


class _Request(click.ParamType[AskedRequest]):
    """
    A request: its number, or the build BUILDER/NUMBER.
    """

    name = "request"

    def convert(
        self, value: str | AskedRequest, param: click.Parameter | None, ctx: click.Context | None
    ) -> AskedRequest:
        if isinstance(value, AskedRequest):
            return value
        if (build := BuildName.read(value)) is not None:
            return AskedRequest(NUMBER.convert(build.number, param, ctx), build.builder)
        if not (value.isascii() and value.isdecimal()):
            self.fail(f"{value!r:.100} is neither the number of a request nor a build, BUILDER/NUMBER.", param, ctx)
        return AskedRequest(NUMBER.convert(value, param, ctx))


class _Pair(click.ParamType[tuple[str, str]]):
    """
    A property: ``NAME=VALUE``.
    """

    name = "pair"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r:.100} is not NAME=VALUE.", param, ctx)
        return name, text


MOST = 1 << 62
NUMBER = _Number()
REQUEST = _Request()
PAIR = _Pair()


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def property_option(help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002 - click's name
    """
    The option ``-p NAME=VALUE``, which may be given several times.  The function gets *pairs*.
    """
    return click.option(
        "-p", "--property", "pairs", type=PAIR, multiple=True, metavar="NAME=VALUE", help=f"{help}; may be repeated."
    )


def newest_options(most: int) -> Callable[[Decorated], Decorated]:
    """
    The options ``-n`` (up to *most*; 20 by default) and ``--before`` of a list that begins with the newest.
    """

    def decorate(function: Decorated) -> Decorated:
        for option in (
            click.option(
                "--before",
                type=NUMBER,
                metavar="NUMBER",
                help="Only older ones; a long list ends with the number to give.",
            ),
            click.option(
                "-n",
                "--most",
                type=click.IntRange(1, most),
                metavar="N",
                default=20,
                show_default=True,
                help="How many.",
            ),
        ):
            function = option(function)
        return function

    return decorate


def text_of(path: str) -> str:
    """
    The text, in UTF-8, in the file at *path*; "-": on standard input.  `FileError` if it cannot be read;
    `click.UsageError` if it has more than `LARGEST_TEXT` bytes.
    """
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_TEXT:
        raise click.UsageError(f"{path} has more than {LARGEST_TEXT >> 10} KiB.  Submit it with a string for patches.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not text in UTF-8.  Submit it with a string for patches.") from None
