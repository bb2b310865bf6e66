"""
The data of a build that reporters use, read from the records in one query.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any
from urllib.parse import quote

from attrs import define, frozen
from sqlalchemy import Connection

from ...errors import FileError
from ...model.change import Change
from ...model.display import printable
from ...model.properties import Properties
from ...model.rendering import View
from ...model.results import Result
from ...model.source_stamps import is_untrusted
from ...storage.compressed_streams import open_stream
from ...storage.records import builds, buildsets, changes, requests, steps, streams
from ...storage.records.builds import Build
from ...storage.records.buildsets import Buildset
from ...storage.records.steps import Step
from ...storage.statements import to_json

TAIL_LINES = 30
TAIL_BYTES = 16 << 10
MOST_CHANGES = 50
LARGEST_PART = 1 << 20
LONGEST_SHORTENED = 200
FAILED = (Result.FAILURE, Result.EXCEPTION)


def page_of(url: str, build: Build) -> str:
    """
    The address of the page of *build* in the farm whose pages begin at *url*.
    """
    return f"{url}builders/{quote(build.builder, safe='')}/{build.number}"


@frozen
class FarmFacts:
    """
    The data of the farm for messages: its *title*, the address *url* of its pages or None, the directory of *logs*.
    """

    title: str
    url: str | None
    logs: str


@define(slots=False, kw_only=True)
class BuildDetails:
    """
    A build, running or finished.

    *previous*: the result of the builder's previous finished build; None when there is none.  *tail*: the last lines of
    the log of the step that failed, or "".
    """

    farm: FarmFacts
    build: Build
    buildset: Buildset
    steps: Sequence[Step]
    changes: Sequence[Change]
    previous: Result | None = None
    tail: str = ""

    @property
    def label(self) -> str:
        """
        "builder/number".
        """
        return f"{self.build.builder}/{self.build.number}"

    @property
    def url(self) -> str | None:
        """
        The page of the build.
        """
        return None if self.farm.url is None else page_of(self.farm.url, self.build)

    @property
    def failed_step(self) -> Step | None:
        """
        The first step that failed.
        """
        return next((step for step in self.steps if step.result in FAILED), None)

    @property
    def summary(self) -> str:
        """
        A phrase about the result, which names the step that failed.
        """
        if self.build.result is None:
            return "is running"
        if self.build.result is Result.SUCCESS:
            return "succeeded"
        step = self.failed_step
        of_step = f"{step.name}: {step.summary}" if step and step.summary else step.name if step else self.build.reason
        word = _WORDS[self.build.result]
        return printable(f"{word} ({of_step})" if of_step else word)

    @cached_property
    def view(self) -> View:
        """
        The properties and sources of the build, for renderables.
        """
        properties = Properties.from_document(self.build.properties)
        # A build is recorded before its properties are.
        properties.update(self.build.identity(), "Build")
        return View(properties, sources={"": dict(self.buildset.source)}, slave={"name": self.build.slave})

    @property
    def revision(self) -> str | None:
        """
        The revision that was built, or the requested one.
        """
        revision = self.view.getProperty("got_revision") or self.buildset.source.get("revision")
        return revision if isinstance(revision, str) and revision else None

    @property
    def untrusted(self) -> bool:
        """
        Whether it is of code from a fork, also when another build triggered it.
        """
        return is_untrusted(self.buildset.source) or any(change.untrusted for change in self.changes)

    def owners(self) -> list[str]:
        """
        The authors of its changes and the property ``owner``, each once.
        """
        names = [change.author for change in self.changes]
        owner = self.view.getProperty("owner")
        return list(dict.fromkeys([*names, owner] if isinstance(owner, str) and owner else names))

    def document(self) -> dict[str, Any]:
        """
        The build as JSON.  Of the changes the newest `MOST_CHANGES`; of changes and properties, which others write, at
        most about 1 MiB each: beyond it, changes are without files, and large properties are left out.
        """
        row = self.build
        return {
            "title": self.farm.title,
            "url": self.url,
            "builder": row.builder,
            "number": row.number,
            "slave": row.slave,
            "result": None if row.result is None else row.result.name,
            "previous_result": None if self.previous is None else self.previous.name,
            "summary": self.summary,
            "reason": row.reason,
            "started": row.started,
            "finished": row.finished,
            "properties": _fitting_properties(row.properties),
            "scheduler": self.buildset.scheduler,
            "submission": {"id": self.buildset.id, "reason": self.buildset.reason, "source": {**self.buildset.source}},
            "changes": _fitting_changes(self.changes),
            "steps": [
                {
                    "name": step.name,
                    "result": None if step.result is None else step.result.name,
                    "summary": step.summary,
                    "started": step.started,
                    "finished": step.finished,
                }
                for step in self.steps
                if not step.hidden
            ],
        }


_WORDS: Mapping[Result, str] = {
    Result.WARNINGS: "succeeded with warnings",
    Result.FAILURE: "failed",
    Result.SKIPPED: "was skipped",
    Result.EXCEPTION: "ended with an exception",
    Result.RETRY: "is tried again",
    Result.CANCELLED: "was cancelled",
}


def _change(change: Change) -> dict[str, Any]:
    names = ("author", "comments", "revision", "branch", "repository", "project", "revlink", "untrusted")
    return {name: getattr(change, name) for name in names} | {"files": list(change.files)}


def _fitting_changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    room = LARGEST_PART
    found = []
    for change in reversed(changes[-MOST_CHANGES:]):
        document = _change(change)
        room -= len(to_json(document))
        if room < 0:
            document |= {"comments": change.comments[:LONGEST_SHORTENED], "files": []}
        found.append(document)
    return found[::-1]


def _fitting_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {name: len(to_json(value)) for name, value in properties.items()}
    room = LARGEST_PART
    for name in sorted(sizes, key=lambda name: sizes[name]):
        room -= sizes[name]
        if room < 0:
            del sizes[name]
    return {name: value for name, value in properties.items() if name in sizes}


def of_build(connection: Connection, farm: FarmFacts, build: int, *, tail: bool = True) -> BuildDetails | None:
    """
    The details of a build; None when it is not recorded any more.  *tail*: read the end of the failed step's log.
    """
    row = builds.get(connection, build)
    request = None if row is None else requests.get(connection, row.request)
    buildset = None if request is None else buildsets.get(connection, request.buildset)
    if row is None or buildset is None:
        return None
    earlier = builds.newest(connection, row.builder, most=20, before=row.number)
    previous = next((each.result for each in earlier if each.result not in {None, Result.RETRY}), None)
    details = BuildDetails(
        farm=farm,
        build=row,
        buildset=buildset,
        steps=steps.of_build(connection, row.id),
        changes=[each.change for each in changes.of_buildset(connection, buildset.id)],
        previous=previous,
    )
    if tail and (step := details.failed_step) is not None:
        details.tail = log_tail(connection, farm.logs, row.id, step.number)
    return details


def of_buildset(connection: Connection, farm: FarmFacts, buildset: int) -> list[BuildDetails]:
    """
    The newest build of each request of a buildset.
    """
    details_of_builds = []
    for request in requests.of_buildset(connection, buildset):
        attempts = builds.of_request(connection, request.id)
        details = of_build(connection, farm, attempts[-1].id) if attempts else None
        details_of_builds += [] if details is None else [details]
    return details_of_builds


def log_tail(connection: Connection, directory: str, build: int, step: int) -> str:
    """
    The last lines of the log ``stdio`` of a step, without control characters; "" when there are none.  *directory*: of
    the logs.
    """
    logs = [each for each in streams.of_step(connection, build, step) if each.kind == "log" and each.name == "stdio"]
    if not logs:
        return ""
    try:
        with closing(open_stream(os.path.join(directory, logs[-1].path))) as reader:
            end = reader.read(max(0, reader.length - TAIL_BYTES), TAIL_BYTES)
    except FileError:
        return ""  # a message without it is better than none
    return "\n".join(printable(line) for line in end.decode(errors="replace").splitlines()[-TAIL_LINES:])
