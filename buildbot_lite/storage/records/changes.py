"""
Changes, and which of them wait for a scheduler or came into a buildset.
"""

from collections.abc import Iterable
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Integer, String, bindparam, delete, exists, func, insert, or_, select

from ...model.change import Change
from .. import schema
from ..statements import Query, Statement, from_json, inserting, to_json

_changes = schema.changes
_pending = schema.pending_changes
_of_buildsets = schema.buildset_changes
_buildsets = schema.buildsets

_COLUMNS = (
    "received", "happened", "author", "committer", "comments", "files", "revision", "branch", "repository", "project",
    "codebase", "category", "revlink", "properties", "source", "untrusted", "move",
)  # fmt: skip


@frozen
class RecordedChange:
    """
    The row of a change: its number, and when it was *received*, in seconds since 1970.
    """

    id: int
    received: float
    change: Change


def recorded_change(*row: Any) -> RecordedChange:
    """
    The change in *row*, which has the values of `COLUMNS`.
    """
    id, received, *rest = row
    values = dict(zip(_COLUMNS[1:], rest, strict=True))
    values["files"] = tuple(from_json(values["files"]))
    values["properties"] = from_json(values["properties"])
    values["untrusted"] = bool(values["untrusted"])
    return RecordedChange(id, received, Change(**values))


COLUMNS = [_changes.c.id, *[_changes.c[name] for name in _COLUMNS]]
"""The columns of which `recorded_change` makes a change."""
_ADD = Statement(inserting(_changes, "digest", *_COLUMNS).returning(_changes.c.id))
_GET = Query(select(*COLUMNS).where(_changes.c.id == bindparam("id")), recorded_change)
_BY_DIGEST = Query(
    select(*COLUMNS).where(_changes.c.digest == bindparam("digest")).order_by(_changes.c.id.desc()).limit(1),
    recorded_change,
)
_OF_MOVE = Query(
    select(*COLUMNS).where(_changes.c.digest == bindparam("digest"), _changes.c.move == bindparam("move")),
    recorded_change,
)
# Bitbucket shortens the revisions of pull requests, so one agrees with another that it begins.
_given = bindparam("revision", type_=String)
_LATER_ON_BRANCH = Query(
    select(_changes.c.revision)
    .where(
        func.substr(_changes.c.revision, 1, func.length(_given)) != _given,
        func.substr(_given, 1, func.length(_changes.c.revision)) != _changes.c.revision,
        _changes.c.id > bindparam("after"),
        _changes.c.repository == bindparam("repository"),
        _changes.c.branch.is_not_distinct_from(bindparam("branch")),
        _changes.c.project == bindparam("project"),
        _changes.c.codebase == bindparam("codebase"),
        _changes.c.untrusted == bindparam("untrusted"),
    )
    .order_by(_changes.c.id.desc())
    .limit(1),
    str,
)
_AFTER = Query(
    select(*COLUMNS).where(_changes.c.id > bindparam("after")).order_by(_changes.c.id).limit(bindparam("most")),
    recorded_change,
)
_NEWEST = Query(
    select(*COLUMNS).where(_changes.c.id < bindparam("before")).order_by(_changes.c.id.desc()).limit(bindparam("most")),
    recorded_change,
)
_LAST = Statement(select(func.coalesce(func.max(_changes.c.id), 0)))
_OF_BUILDSET = Query(
    select(*COLUMNS)
    .where(_of_buildsets.c.change == _changes.c.id, _of_buildsets.c.buildset == bindparam("buildset"))
    .order_by(_of_buildsets.c.change),
    recorded_change,
)
_unfinished = (
    select(_of_buildsets.c.change)
    .join(_buildsets, _buildsets.c.id == _of_buildsets.c.buildset)
    .where(_of_buildsets.c.change == _changes.c.id, _buildsets.c.finished.is_(None))
)
_OLD = Query(
    select(_changes.c.id)
    .where(
        # Not the newest, whose number is the beginning of the next.
        _changes.c.id <= bindparam("up_to"),
        _changes.c.id < select(func.max(_changes.c.id)).scalar_subquery(),
        or_(
            _changes.c.id <= select(func.max(_changes.c.id)).scalar_subquery() - bindparam("horizon"),
            (_changes.c.received < bindparam("before")),
        ),
        ~exists(select(_pending.c.change).where(_pending.c.change == _changes.c.id)),
        ~exists(_unfinished),
    )
    .order_by(_changes.c.id)
    .limit(bindparam("most")),
    int,
)
_FORGET = [
    Statement(delete(_of_buildsets).where(_of_buildsets.c.change == bindparam("which"))),
    Statement(delete(_changes).where(_changes.c.id == bindparam("which"))),
]
_ADD_TO_BUILDSET = Statement(inserting(_of_buildsets, "buildset", "change"))
_others = _of_buildsets.alias()
_changes_of_the_other = select(_others.c.change).where(_others.c.buildset == bindparam("to"))
_HAND_OVER = Statement(
    insert(_of_buildsets).from_select(
        ["buildset", "change"],
        select(bindparam("to", type_=Integer), _of_buildsets.c.change).where(
            _of_buildsets.c.buildset == bindparam("buildset"),
            _of_buildsets.c.change.not_in(_changes_of_the_other),
        ),
    )
)
_wanted = func.json_each(bindparam("buildsets")).table_valued("value", name="wanted_buildsets")
_TRUSTS_OF = Query(
    select(_of_buildsets.c.buildset, _changes.c.untrusted)
    .where(_of_buildsets.c.change == _changes.c.id, _of_buildsets.c.buildset.in_(select(_wanted.c.value)))
    .distinct(),
    lambda buildset, untrusted: (int(buildset), bool(untrusted)),
)
_NO_BOUND = 1 << 62


def add(connection: Connection, change: Change, now: float) -> tuple[RecordedChange, bool]:
    """
    Add *change*; False beside the earlier row when the same change is there already.

    A move to a revision that was a change before is another change if the branch was elsewhere since, according to the
    records, and that very move is not there.  A move of a source that does not know when it happened, and that is there
    already or that may be a row without a move, is another change if it begins where the records say that the branch
    is; otherwise it is a replay.
    """
    digest = change.digest
    if (earlier := _same(connection, digest, change)) is not None:
        return earlier, False
    happened = now if change.happened is None else change.happened
    id = _ADD.number(
        connection,
        digest=digest,
        received=now,
        happened=happened,
        author=change.author,
        committer=change.committer,
        comments=change.comments,
        files=to_json(change.files),
        revision=change.revision,
        branch=change.branch,
        repository=change.repository,
        project=change.project,
        codebase=change.codebase,
        category=change.category,
        revlink=change.revlink,
        properties=to_json(dict(change.properties)),
        source=change.source,
        untrusted=int(change.untrusted),
        move=change.move,
    )
    recorded = get(connection, id)
    assert recorded is not None
    return recorded, True


def _same(connection: Connection, digest: str, change: Change) -> RecordedChange | None:
    newest = _BY_DIGEST.first(connection, digest=digest)
    if newest is None or change.move is None:
        return newest
    known = _OF_MOVE.first(connection, digest=digest, move=change.move)
    if known is None and change.repeats and newest.change.move is None:
        known = newest  # earlier versions recorded no moves of such a source, so this may be that one
    if known is not None and not change.repeats:
        return known
    # Not of one category: a function may choose it by the author.
    later = _LATER_ON_BRANCH.first(
        connection,
        after=newest.id,
        revision=change.revision,
        repository=change.repository,
        branch=change.branch,
        project=change.project,
        codebase=change.codebase,
        untrusted=int(change.untrusted),
    )
    if later is None:
        return newest  # another source saw the same
    if known is None:
        return None
    begins_there = bool(change.before) and (later.startswith(change.before) or change.before.startswith(later))
    return None if begins_there else newest


def get(connection: Connection, id: int) -> RecordedChange | None:
    """
    The change with that *id*.
    """
    return _GET.first(connection, id=id)


def last_id(connection: Connection) -> int:
    """
    The number of the newest change; 0 when there is none.
    """
    return _LAST.number(connection)


def after(connection: Connection, id: int, most: int = 500) -> list[RecordedChange]:
    """
    At most *most* changes with a number above *id*, oldest first.
    """
    return _AFTER.all(connection, after=id, most=most)


def newest(connection: Connection, most: int = 50, before: int | None = None) -> list[RecordedChange]:
    """
    At most *most* changes, newest first; with *before* only those with a smaller number.
    """
    return _NEWEST.all(connection, most=most, before=_NO_BOUND if before is None else before)


def hand_over(connection: Connection, buildset: int, to: int) -> None:
    """
    The changes of *buildset* are changes of the buildset *to*, too.
    """
    _HAND_OVER.run(connection, buildset=buildset, to=to)


def trusts_of(connection: Connection, buildsets: Iterable[int]) -> dict[int, frozenset[bool]]:
    """
    For each of *buildsets*, whether its changes are untrusted; empty when it has none.
    """
    wanted = sorted(set(buildsets))
    found: dict[int, set[bool]] = {buildset: set() for buildset in wanted}
    for buildset, untrusted in _TRUSTS_OF.all(connection, buildsets=to_json(wanted)):
        found[buildset].add(untrusted)
    return {buildset: frozenset(trust) for buildset, trust in found.items()}


def of_buildset(connection: Connection, buildset: int) -> list[RecordedChange]:
    """
    The changes that *buildset* builds, oldest first.
    """
    return _OF_BUILDSET.all(connection, buildset=buildset)


def prune(
    connection: Connection, *, considered: int, before: float, horizon: int | None = None, most: int = 1000
) -> int:
    """
    Forget changes that were received before *before* (seconds since 1970), or of which *horizon* newer ones are there;
    at most *most*, and returns their number.

    Never the newest; nor one with a number above *considered*, which a scheduler has not considered yet; nor one that
    waits for a scheduler, or that an unfinished buildset builds.
    """
    old = _OLD.all(
        connection, up_to=considered, before=before, horizon=_NO_BOUND if horizon is None else horizon, most=most
    )
    for id in old:
        for statement in _FORGET:
            statement.run(connection, which=id)
    return len(old)


def add_to_buildset(connection: Connection, buildset: int, changes: Iterable[int]) -> None:
    """
    Note that *buildset* builds *changes*.
    """
    for change in changes:
        _ADD_TO_BUILDSET.run(connection, buildset=buildset, change=change)
