"""
What a page has hundreds of, written without Jinja: rows of lists, cells, bars, blocks.

A template calls three functions for each value that it writes, and one more for each filter.  A page of four hundred
builds took 12 ms that way, and takes 2 ms this way.  Every text that others chose goes through `_text` or `segment`;
everything else is a number, or a word of ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen
from markupsafe import Markup, escape

from ...model.results import Result
from ...storage.records.cells import BuildCell
from ...storage.records.history import HistoryEntry
from .rendering import (
    duration,
    elapsed,
    moment,
    page_of_build,
    page_of_builder,
    prose,
    result_class,
    result_letter,
    result_words,
    segment,
    shown,
    size,
    told,
)

Document = Mapping[str, Any]
_LEEWAY = 5
_LONGEST_NAME = 200
_SHORT = 20
"""Characters of a name that stay on one line."""


@frozen
class PlottedBuild:
    """
    A bar of a plot, in its units: *x* and *height*.
    """

    build: BuildCell
    x: float
    height: float


@frozen
class _Name:
    """
    A name as *text*, as a *segment* of an address, and, if it is a builder's, the address of its *page*.
    """

    text: str
    segment: str
    page: str


@frozen
class _Look:
    """
    How a result is shown: the class in the stylesheet, a letter, words, and all of that as a *badge*.
    """

    css: str
    letter: str
    words: str
    badge: str


def build_rows(
    root: str, entries: Iterable[HistoryEntry], now: float, *, with_builder: bool, with_slave: bool = True
) -> Markup:
    """
    The rows of a list of builds.
    """
    return _joined(_build_row(root, entry, now, with_builder=with_builder, with_slave=with_slave) for entry in entries)


def _build_row(root: str, entry: HistoryEntry, now: float, *, with_builder: bool, with_slave: bool) -> str:
    build = entry.build
    builder, slave = _name(build.builder), _name(build.slave)
    reason = ""
    if build.reason and build.result not in {Result.SUCCESS, Result.SKIPPED}:
        reason = f' <span class="quiet">{_text(build.reason, 120)}</span>'
    branch, revision = entry.branch, entry.revision
    source = f'<span class="chip">{_text(branch, 60)}</span> ' if branch else ""
    if revision:
        source += f"<code>{escape(_cut(shown(revision), 12, end=''))}</code>"
    by = entry.origin.by or entry.origin.scheduler
    of_slave = (
        f'<td{_line(build.slave)}><a href="{root}slaves/{slave.segment}">{slave.text}</a></td>\n' if with_slave else ""
    )
    took = elapsed(now - build.started) if build.finished is None else duration(build.finished - build.started)
    return (
        f'<tr><th{_line(build.builder)} scope="row"><a href="{root}{builder.page}/{build.number}">'
        f"{f'{builder.text}/' if with_builder else ''}{build.number}</a></th>\n"
        f"<td>{_look(build.result).badge}{reason}</td>\n"
        f"<td{_line(branch or '')}>{source}</td>\n"
        f"<td{_line(by)}>{_text(by, 60)}</td>\n"
        f"{of_slave}"
        f"<td>{moment(build.started)}</td>\n"
        f'<td class="number">{took}</td></tr>\n'
    )


def build_links(root: str, labels: Iterable[object]) -> Markup:
    """
    The builds with *labels* such as "hello/12", as links to their pages.
    """
    return Markup(", ").join(_build_link(root, str(label)) for label in labels)


def _build_link(root: str, label: str) -> Markup:
    builder, _, number = label.rpartition("/")
    if not (builder and number.isdecimal()):
        return Markup(_text(label))  # noqa: S704 - escaped
    return Markup(f'<a{_line(label)} href="{root}{page_of_build(builder, int(number))}">{_text(label)}</a>')  # noqa: S704 - escaped


def _line(name: str) -> str:
    """
    The attribute of a cell or link with *name*, which stays on one line if it is short.
    """
    return ' class="short"' if len(name) <= _SHORT else ""


def slave_rows(slaves: Iterable[Document]) -> Markup:
    """
    The rows of a list of slaves, each with its name and its state (`farm.slave_states`).  All else may be missing, as
    ``obstacle`` and ``space`` are of slaves that are known from the records alone.
    """
    return _joined(map(_slave_row, slaves))


def _slave_row(slave: Document) -> str:
    name, state = _name(slave["slave"]), str(slave["state"])
    why = f' <span class="quiet">{told(_cut(prose(slave["says"]), 200, " "))}</span>' if slave["says"] else ""
    until = f'<span class="quiet">; its builds wait until {moment(slave["until"])}</span>' if slave["until"] else ""
    space = slave.get("space")
    return (
        f'<tr><th{_line(slave["slave"])} scope="row"><a href="slaves/{name.segment}">{name.text}</a></th>\n'
        f'<td><span class="slave-state {_text(state.replace(" ", "-"))}">{_text(slave["words"])}</span>'
        f"{why}{until}</td>\n"
        f"<td>{build_links('', slave.get('running') or ())}</td>\n"
        f"<td>{moment(slave.get('since') or slave.get('attached'))}</td>\n"
        f'<td class="number">{size(space) if space else ""}</td>\n'
        f"<td>{_text(slave.get('version') or '')}</td></tr>\n"
    )


def cells(root: str, builds: Iterable[BuildCell]) -> Markup:
    """
    Ended builds, each as a cell.
    """
    return _joined(
        _cell(root, each.builder, each.number, each.result, (each.finished or each.started) - each.started)
        for each in builds
    )


def console_rows(changes: Iterable[Document], builders: Sequence[str]) -> Markup:
    """
    The rows of the console: a change, with its builds in the columns of *builders*.
    """
    return _joined(_console_row(change, builders) for change in changes)


def _console_row(change: Document, builders: Sequence[str]) -> str:
    columns: dict[str, str] = dict.fromkeys(builders, "")
    for each in change["requests"]:
        columns[each["builder"]] += (
            _cell("", each["builder"], each["number"], each["result"]) if each["number"] else _WAITS
        )
    first_line = str(change["comments"]).split("\n", 1)[0]
    revision = _cut(str(change["revision"] or change["change"]), 10, end="")
    branch = f" on {_text(change['branch'], 60)}" if change["branch"] else ""
    return (
        f'<tr><th scope="row"><a href="changes/{change["change"]}"><code>{_text(revision)}</code></a> '
        f'{_text(first_line, 100)}<span class="quiet">{_text(change["author"], 60)}{branch}, '
        f"{moment(change['received'])}{_FROM_A_FORK if change['untrusted'] else ''}</span></th>\n"
        f"{''.join(f'<td>{cell}</td>' for cell in columns.values())}</tr>\n"
    )


def plot_bars(root: str, builder: str, bars: Iterable[PlottedBuild], base: float) -> Markup:
    """
    The bars of the durations of *builder*'s builds, which stand on the line *base*.
    """
    return _joined(_bar(f"{root}{page_of_builder(builder)}", bar, base) for bar in bars)


def _bar(address: str, bar: PlottedBuild, base: float) -> str:
    build, look = bar.build, _look(bar.build.result)
    took = (build.finished or build.started) - build.started
    return (
        f'<a href="{address}/{build.number}"><rect class="{look.css}" x="{bar.x}" '
        f'y="{round(base - bar.height, 2)}" width="5" height="{bar.height}">'
        f"<title>{build.number} {look.words}, {duration(took)}</title></rect></a>"
    )


def block(build: BuildCell, now: float, x: int, y: int, width: int, height: int) -> str:
    """
    A build as a block of the waterfall, in its units; markup.  In a narrow one, only the letter is written.
    """
    number = f" {build.number}" if 7 * len(str(build.number)) + 22 <= width else ""
    name, look = _name(build.builder), _look(build.result)
    took = duration((build.finished or now) - build.started)
    return (
        f'<a href="{name.page}/{build.number}"><g class="{look.css}">'
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
        f'<text x="{x + 6}" y="{y + 11}">{look.letter}{number}</text>'
        f"<title>{name.text}/{build.number} {look.words}, {took}</title></g></a>\n"
    )


def more_blocks(builder: str, count: int, x: int, y: int, width: int, height: int) -> str:
    """
    A block for *count* builds that have no room; leads to the page of their builder.
    """
    name = _name(builder)
    return (
        f'<a href="{name.page}"><g class="skipped"><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
        f'<text x="{x + 2}" y="{y + 11}">+{count}</text>'
        f"<title>{count} more of {name.text} at this time</title></g></a>\n"
    )


def _cell(root: str, builder: str, number: int, result: Result | str | None, seconds: float | None = None) -> str:
    """
    The link to a build as one letter; its title says the rest.  *seconds*: that it took.
    """
    look = _look(result)
    took = "" if seconds is None else f", {duration(seconds)}"
    return (
        f'<a class="cell {look.css}" href="{root}{_name(builder).page}/{number}" '
        f'title="{number} {look.words}{took}"><b aria-hidden="true">{look.letter}</b></a>'
    )


def _look(result: Result | str | None) -> _Look:
    """
    How *result*, or the result of that name, is shown.
    """
    return _LOOKS.get(result) or _LOOKS[Result.EXCEPTION]


def _new_look(result: str | None) -> _Look:
    css, letter, words = result_class(result), result_letter(result), result_words(result)
    badge = f'<span class="result {css}"><b aria-hidden="true">{letter}</b> {words}</span>'
    return _Look(css, letter, words, badge)


def _name(name: str) -> _Name:
    return _short_name(name) if len(name) <= _LONGEST_NAME else _new_name(name)


def _new_name(name: str) -> _Name:
    return _Name(_text(name), segment(name), page_of_builder(name))


# Of a page with hundreds of builds, the same names.
_short_name = lru_cache(maxsize=1000)(_new_name)


def _text(value: object, most: int | None = None) -> str:
    """
    *value* as text of a page: printable, escaped, and, but for some, of *most* characters.
    """
    line = shown(value)
    return escape(line if most is None else _cut(line, most, " "))


def _cut(text: str, most: int, between: str = "", end: str = "...") -> str:
    """
    As Jinja's filter ``truncate``: at most *most* characters, or `_LEEWAY` more if those are all.  *between*: where it
    is cut; "": anywhere.
    """
    if len(text) <= most + _LEEWAY:
        return text
    shortened = text[: most - len(end)]
    return (shortened.rsplit(between, 1)[0] if between else shortened) + end


def _joined(pieces: Iterable[str]) -> Markup:
    return Markup("".join(pieces))  # noqa: S704 - of this module's functions, which escape


_LOOKS: Mapping[Result | str | None, _Look] = {
    None: _new_look(None),
    **{key: _new_look(result.name) for result in Result for key in (result, result.name)},
}
_WAITS = '<span class="cell skipped" title="waits"><b aria-hidden="true">…</b><span class="hidden">waits</span></span>'
_FROM_A_FORK = ' <span class="chip">from a fork</span>'
