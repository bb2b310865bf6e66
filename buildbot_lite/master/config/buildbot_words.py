"""
The words of Buildbot that buildbot_lite does not implement, and how it treats each of them.

A word is a key of ``c``, a name in a namespace of ``buildbot_lite.plugins``, or an argument of a class there, as of
``steps.Git``.  It is

- *taken*: accepted with a remark, because nothing changes when it is left out;
- *refused*, with a remedy, because something would change;
- *inner*: an internal part of Buildbot, and refused, because code that needs it cannot run here;
- *later*: refused until it is implemented.

Words that are implemented are not in the table (`buildbot_table`).  ``docs/buildbot.md`` is made of it
(``python -m buildbot_lite.master.config.buildbot_words > docs/buildbot.md``); a test compares them.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Self

from attrs import evolve, frozen

from .buildbot_table import RIGHTS, TABLE, Treatment


@frozen
class Word:
    """
    A word that is not implemented.

    *where*: its namespace; "c": it is a key of ``c``.  *advice*: why it has no effect, or what to do instead, for the
    sentence about it.
    """

    where: str
    name: str
    treatment: Treatment
    advice: str

    @property
    def shown(self) -> str:
        """
        The word as it is written in a configuration.
        """
        if self.where == "c" or self.where.startswith("c["):
            return f"{self.where}[{self.name!r}]"
        return f"{self.where}({self.name}=)" if "." in self.where else f"{self.where}.{self.name}"

    @property
    def sentence(self) -> str:
        """
        The sentence of the remark or mistake about it.
        """
        match self.treatment:
            case Treatment.TAKEN if self.advice == RIGHTS:
                return RIGHTS  # one sentence for all of them, so that it is noted once
            case Treatment.TAKEN:
                return f"{self.shown} has no effect here: {self.advice}"
            case Treatment.INNER:
                return (
                    f"{self.shown} is a part of Buildbot's inside, which does not exist here.  {self.advice}".rstrip()
                )
            case Treatment.LATER:
                return f"{self.shown} comes later here.  {self.advice}".rstrip()
        return f"{self.shown} is not here.  {self.advice}"

    def of_class(self, name: str) -> Self:
        """
        The same argument of another class of the namespace.
        """
        return evolve(self, where=f"{self.where.rpartition('.')[0]}.{name}")


def _words() -> Iterator[Word]:
    for where, treatment, advice, names in TABLE:
        for name in names.split():
            yield Word(where, name, treatment, advice)


WORDS: Mapping[tuple[str, str], Word] = MappingProxyType({(word.where, word.name): word for word in _words()})
"""Namespace and name → the word."""
_ARGUMENTS: Mapping[tuple[str, str], Word] = MappingProxyType(
    {(where.rpartition(".")[2], name): word for (where, name), word in WORDS.items() if "." in where}
)


def find(where: str, name: str) -> Word | None:
    """
    The word *name* of the namespace *where*, if it is in the table.
    """
    return WORDS.get((where, name))


def words_at(where: str) -> tuple[Word, ...]:
    """
    All words of the namespace *where*.
    """
    return tuple(word for word in WORDS.values() if word.where == where)


def argument_of(classes: Iterable[str], name: str) -> Word | None:
    """
    The argument *name* of the first of *classes* (without their namespace) that has it in the table.
    """
    return next((word for each in classes if (word := _ARGUMENTS.get((each, name))) is not None), None)


_SECTIONS = {
    Treatment.TAKEN: (
        "Taken with a remark",
        "Nothing changes when these are left out. `checkconfig` prints a remark, and goes on.",
    ),
    Treatment.REFUSED: (
        "Refused, with what to do instead",
        (
            "Something would change without these. Attributes of a `Function` are remarks, because they may be "
            "those of another object."
        ),
    ),
    Treatment.INNER: (
        "Parts of Buildbot's inside",
        "Code that uses these is bound to the machinery of Buildbot's master.",
    ),
    Treatment.LATER: ("Later", "These are refused until they are made; when one is made, it is in the reference."),
}


def document() -> str:
    """
    The text of ``docs/buildbot.md``.
    """
    lines = [
        "# Buildbot's words without work here",
        "",
        (
            "What `checkconfig` says of a word of Buildbot's that is not in [configuration.md](configuration.md) or "
            "[steps.md](steps.md). Keys of `c` are written `c['key']`. This page is made of the table in "
            "`buildbot_lite/master/config/buildbot_table.py`."
        ),
    ]
    for treatment, (heading, introduction) in _SECTIONS.items():
        lines += ["", f"## {heading}", "", introduction, "", "| words | why, or what to do |", "|---|---|"]
        groups: dict[str, list[str]] = {}
        for word in WORDS.values():
            if word.treatment is treatment:
                groups.setdefault(word.advice, []).append(f"`{word.shown}`")
        lines += [f"| {', '.join(names)} | {advice[:1].upper()}{advice[1:]} |" for advice, names in groups.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - this is the program that makes the page
