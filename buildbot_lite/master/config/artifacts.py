"""
Artifacts of other builds, as arguments of steps.
"""

from functools import partial
from typing import Any

from attrs import frozen

from ...errors import UnsafePathError
from ...model.names import relative_path
from ...model.rendering import View, is_renderable, render
from ...model.suggestions import did_you_mean
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line
from .mistakes import once_loaded

LARGEST_NUMBER = 999_999_999
"""The largest number of a build."""
LAST_GOOD = "last good"
TRIGGER = "trigger"
ANY_BRANCH = "*"
"""Means any branch; no branch of git can have this name."""


@frozen
class WantedArtifact:
    """
    A rendered `Artifact`.

    *name*: the path of the artifact.  *builder*: the builder; None: that of the triggering build.  *build*: a number,
    `LAST_GOOD` or `TRIGGER`.  *branch*: the branch of the last good build; None: it must have no branch.
    """

    name: str
    builder: str | None
    build: int | str
    branch: str | None = ANY_BRANCH


class Artifact(metaclass=NotingType):
    """
    An artifact of another build, as ``mastersrc`` of `FileDownload`.

    *name*: the name under which it was uploaded.  *builder*: the name of the builder that made it.
    *build*: "last good" (default): the newest build of *builder* that succeeded, perhaps with warnings, has no code
    from a fork, and has the artifact; or the number of a build; or "trigger", without *builder*: the build whose
    `Trigger` step started this one.
    *branch*: with "last good": only builds of this branch; None: only builds without a branch; default "*": any.
    All of them may be rendered.
    """

    def __init__(self, name: Any, builder: Any = None, build: Any = LAST_GOOD, branch: Any = ANY_BRANCH) -> None:
        self.place = current_line(self)
        self._given = (name, builder, build, branch)
        if not is_renderable(self._given):
            _wanted(ArgumentChecker("Artifact", self), *self._given)
        if isinstance(builder, str):
            once_loaded(partial(_unknown, builder), of=self)

    async def getRenderingFor(self, props: View) -> WantedArtifact:
        """
        The artifact for the build *props*; `ConfigError` if the rendered arguments are wrong.
        """
        return _wanted(ArgumentChecker("Artifact", self), *await render(self._given, props))


def _unknown(builder: str, config: Any) -> str | None:
    if builder in config.builders:
        return None
    return f"Artifact: there is no builder {builder!r:.100}.{did_you_mean(builder, config.builders)}"


def _wanted(checker: ArgumentChecker, name: Any, builder: Any, build: Any, branch: Any) -> WantedArtifact:
    try:
        path = relative_path(name)
    except UnsafePathError:
        path = "."
    if path == ".":
        checker.wrong("name", name, "the name of an artifact, a path without '..'")
    if isinstance(build, str) and build.isdecimal() and len(build) <= len(str(LARGEST_NUMBER)):
        build = int(build)
    is_number = isinstance(build, int) and not isinstance(build, bool) and 0 < build <= LARGEST_NUMBER
    if not is_number and build not in (LAST_GOOD, TRIGGER):
        checker.wrong("build", build, f'a number, "{LAST_GOOD}" or "{TRIGGER}"')
    if (build == TRIGGER) != (builder is None) or not isinstance(builder, (str, type(None))):
        checker.note(f'give the builder, or build="{TRIGGER}" without one.')
    if not isinstance(branch, (str, type(None))) or branch == "":
        checker.wrong("branch", branch, "the name of a branch, or None")
    if build != LAST_GOOD and branch != ANY_BRANCH:
        checker.note(f'branch may be given only with build="{LAST_GOOD}".')
    return WantedArtifact(path, builder, build, branch)
