r"""
Test steps of your own without a slave, a network or a clock.

The step runs in a real build with a real journal; only the slave is scripted: the test lists the commands that it
expects, in order, and their outcomes::

    from buildbot_lite.testing import command, replay, run

    ran = run(
        CountWarnings(command=["make"]),
        command("make").exits(0, "a.c:1: warning: odd\n"),
        properties={"branch": "main"},
    )
    assert ran.result == Result.WARNINGS
    assert ran.properties["warnings"] == 1

`replay` does the same, and then crashes the master at every moment at which it could crash, runs the build on from its
journal, and compares::

    journal      intent committed   done by the slave   outcome committed      … for each entry
    crash here           1                  2                   3

A step passes when, after each crash, result, commands, logs, properties and artifacts are the same, and each command
was started once.  A step whose decisions depend on the clock, the disk or a random number fails: it must get those
through ``self.bench``.
"""

from collections.abc import Mapping
from typing import Any

from ..master.steps.step import BuildStep
from ..model.http_request import HttpAnswer
from ..model.properties import Json
from ..model.results import Result
from .script import (
    Answer,
    Asked,
    command,
)
from .world import Finished, World

__all__ = ["Answer", "Asked", "Finished", "HttpAnswer", "command", "replay", "run"]


def run(
    step: BuildStep,
    *answers: Answer,
    properties: Mapping[str, Json] | None = None,
    sources: Mapping[str, Mapping[str, Json]] | None = None,
    secrets: Mapping[str, str] | None = None,
    inputs: Mapping[str, bytes] | None = None,
    triggers: Mapping[str, Result] | None = None,
    pages: Mapping[str, HttpAnswer] | None = None,
    slave: str = "bot1",
    master_directory: str = ".",
) -> Finished:
    """
    Run *step* as the only one of a build.  *answers*: the expected commands, in order.

    Without *answers*, every command succeeds and writes nothing.  `AssertionError` for a command that is not expected,
    and when an expected one does not come.
    *properties* and *sources* (codebase → branch, revision…) are the build's.  *secrets*: name → value.  *inputs*:
    "patch", "tar" or "file" → the submitted bytes.  *triggers*: Triggerable scheduler → how its builds end.
    *pages*: the address of an HTTP request → the answer.
    """
    world = World(
        answers,
        properties=properties or {},
        sources=sources or {},
        secrets=secrets or {},
        inputs=inputs or {},
        triggers=triggers or {},
        pages=pages or {},
        slave=slave,
        master_directory=master_directory,
    )
    return world.finish(step)


def replay(step: BuildStep, *answers: Answer, **build: Any) -> Finished:
    """
    Run *step* as `run` does, and again with a crash of the master at each possible moment; all results must be the
    same.
    """
    whole = World(answers, **build)
    expected = whole.finish(step)
    for moment, name in enumerate(whole.store.moments):
        world = World(answers, **build)
        world.crash(step, moment)
        where = f"After a crash at moment {moment + 1} of {len(whole.store.moments)} ({name})"
        try:
            finished = world.finish(step)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from None
        _compare(where, expected, finished)
    return expected


def _compare(where: str, expected: Finished, actual: Finished) -> None:
    if actual.ended != expected.ended:
        raise AssertionError(f"{where} the build ended {_said(actual)}, without it {_said(expected)}.")
    for attribute in ("result", "asked", "logs", "artifacts", "properties", "triggered", "published"):
        actual_value, expected_value = getattr(actual, attribute), getattr(expected, attribute)
        if actual_value != expected_value:
            raise AssertionError(
                f"{where} {attribute} is {actual_value!r:.2000}, and without it {expected_value!r:.2000}."
            )


def _said(finished: Finished) -> str:
    sentence = finished.ended.reason if finished.ended.result is Result.RETRY else finished.summary
    return f"{finished.ended.result.name} ({sentence})" if sentence else finished.ended.result.name
