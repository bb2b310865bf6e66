"""
What documents of builds and changes are made of: rows, each query with its bound.

A transaction of a process that only reads is short, so it fetches these and ends; `build_documents` makes the documents
afterwards.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen
from sqlalchemy import Connection

from ..storage.records import changes, feed, history, journal, listed_builds, streams
from ..storage.records.builds import Build
from ..storage.records.changes import RecordedChange
from ..storage.records.feed import Event
from ..storage.records.history import HistoryEntry, Page
from ..storage.records.journal import JournalRow
from ..storage.records.listed_builds import ListedDetails, TriggeredBuild
from ..storage.records.streams import Stream

MOST_REQUESTS = 1000
"""Requests on one page of changes."""
MOST_COMMANDS = 2000
"""Commands of a build whose variables are named."""


@frozen
class BuildRows:
    """
    The builds of a page, with what a list shows of each.  *before*: the bound for the next page; None: this is the last
    one.
    """

    entries: Sequence[HistoryEntry]
    details: ListedDetails
    before: int | None = None


@frozen
class OneBuildRows:
    """
    One build.  *begun*: its first event, or none.  *commands*: the first `MOST_COMMANDS`.
    """

    row: Build
    listed: BuildRows
    begun: Sequence[Event]
    commands: Sequence[JournalRow]


@frozen
class ChangeRows:
    """
    *changes*, newest first, with the requests that they *caused*.  *before*: as of `BuildRows`.
    """

    changes: Sequence[RecordedChange]
    caused: Mapping[int, Sequence[TriggeredBuild]]
    before: int | None = None


def of_builds(connection: Connection, page: Page) -> BuildRows:
    """
    The builds of *page*.
    """
    details = listed_builds.details(connection, [entry.build.id for entry in page.entries])
    return BuildRows(page.entries, details, page.before)


def of_one_build(connection: Connection, row: Build) -> OneBuildRows:
    """
    The build *row*.
    """
    entry = HistoryEntry(row, history.origin_of(connection, row))
    return OneBuildRows(
        row,
        of_builds(connection, Page([entry], None)),
        feed.since(connection, 0, build=row.id, most=1),
        journal.commands_of(connection, row.id, MOST_COMMANDS),
    )


def of_artifacts(connection: Connection, row: Build) -> list[Stream]:
    """
    The streams of the complete artifacts of *row*.
    """
    found = streams.of_build(connection, row.id)
    return [each for each in found if each.kind == "artifact" and each.length is not None]


def of_changes(connection: Connection, most: int, before: int | None = None) -> ChangeRows:
    """
    At most *most* changes; with *before* only older ones.
    """
    found = changes.newest(connection, most, before)
    return ChangeRows(found, listed_builds.caused_by(connection, [each.id for each in found]))


def page_of_changes(connection: Connection, most: int, before: int | None = None) -> ChangeRows:
    """
    As `of_changes`, but with fewer changes if they caused more than `MOST_REQUESTS` requests: it ends with the last one
    that is shown with all of its requests.
    """
    found = changes.newest(connection, most, before)
    caused = listed_builds.caused_by(connection, [each.id for each in found], MOST_REQUESTS)
    shown = found
    if sum(map(len, caused.values())) >= MOST_REQUESTS:
        last = min(caused)
        shown = [each for each in found if each.id > last] or [each for each in found if each.id == last]
    following = shown[-1].id if len(shown) < len(found) or len(found) == most else None
    return ChangeRows(shown, caused, following)
