"""
The search for an artifact of another build.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ...model.source_stamps import is_untrusted
from ...storage.records import artifacts, builds
from ..config.artifacts import ANY_BRANCH, LAST_GOOD, TRIGGER, WantedArtifact


def find(
    connection: Connection, wanted: WantedArtifact, *, parent: int | None, untrusted: bool
) -> Mapping[str, str | int]:
    """
    Find the *wanted* artifact for a build.  Return its "build" (the row), "label", "path", "size" in bytes and
    "sha256"; or a "problem", for people.

    *parent*: the row of the build that triggered this one.  *untrusted*: whether the code of this build comes from a
    fork; only then may it get artifacts of builds whose code comes from forks.
    """
    builder, number = wanted.builder, wanted.build
    if number == TRIGGER:
        row = None if parent is None else builds.get(connection, parent)
        if row is None:
            return {"problem": "no Trigger of another build started this build, or that build has been removed"}
        builder, number = row.builder, row.number
    assert builder is not None
    if number == LAST_GOOD:
        if wanted.branch == ANY_BRANCH:
            artifact = artifacts.of_last_good_build(connection, builder, wanted.name)
        else:
            artifact = artifacts.of_last_good_build_of_branch(connection, builder, wanted.name, wanted.branch)
        if artifact is None:
            return {"problem": f"no good build of {builder!r:.100}{_of_branch(wanted.branch)} has it"}
    else:
        artifact = artifacts.of_build(connection, builder, int(number), wanted.name)
        if artifact is None:
            return {"problem": f"build {builder:.100}/{number} does not have it, or it has been removed"}
        if is_untrusted(artifact.source) and not untrusted:
            return {"problem": f"build {builder:.100}/{number} has code from a fork, and this build has not"}
    return _document(builder, artifact)


def _of_branch(branch: str | None) -> str:
    if branch == ANY_BRANCH:
        return ""
    return " without a branch" if branch is None else f" of branch {branch!r:.100}"


def _document(builder: str, artifact: artifacts.StoredArtifact) -> dict[str, Any]:
    return {
        "build": artifact.build,
        "label": f"{builder}/{artifact.number}",
        "path": artifact.path,
        "size": artifact.length,
        "sha256": artifact.sha256,
    }
