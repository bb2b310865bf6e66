"""
Artifacts of other builds, as arguments of steps.
"""

from typing import Any

from attrs import frozen

from ...model.rendering import View, is_renderable, render
from .arguments import ArgumentChecker
from .mistakes import NotingType, current_line

LARGEST_NUMBER = 999_999_999
"""Of a build."""
LAST_GOOD = "last good"
TRIGGER = "trigger"


@frozen
class WantedArtifact:
    """
    The artifact *name*.  *builder*: None for that of the triggering build.

    *build*: a number, `LAST_GOOD` or `TRIGGER`.
    """

    name: str
    builder: str | None
    build: int | str


class Artifact(metaclass=NotingType):
    """
    An artifact of another build, as ``mastersrc`` of `FileDownload`.

    *name*: as the upload called it.  *builder*: the name of the builder that made it.  *build*: "last good", the
    newest build of *builder* that succeeded (perhaps with warnings), is of no fork, and has the artifact; or a number;
    or "trigger", the build whose `Trigger` started this one, without *builder*.  All three may be rendered.
    """

    def __init__(self, name: Any, builder: Any = None, build: Any = LAST_GOOD) -> None:
        self.place = current_line(self)
        self._given = (name, builder, build)
        if not is_renderable(self._given):
            _wanted(ArgumentChecker("Artifact", self), *self._given)

    async def getRenderingFor(self, props: View) -> WantedArtifact:
        """
        The artifact that is wanted by the build of *props*.
        """
        return _wanted(ArgumentChecker("Artifact", self), *await render(self._given, props))


def _wanted(checker: ArgumentChecker, name: Any, builder: Any, build: Any) -> WantedArtifact:
    if not isinstance(name, str) or not name:
        checker.wrong("name", name, "the name of an artifact")
    if isinstance(build, str) and build.isdecimal() and len(build) <= len(str(LARGEST_NUMBER)):
        build = int(build)
    is_number = isinstance(build, int) and not isinstance(build, bool) and 0 < build <= LARGEST_NUMBER
    if not is_number and build not in (LAST_GOOD, TRIGGER):
        checker.wrong("build", build, f'a number, "{LAST_GOOD}" or "{TRIGGER}"')
    if (build == TRIGGER) != (builder is None) or not isinstance(builder, (str, type(None))):
        checker.note(f'give the builder, or build="{TRIGGER}" without one.')
    return WantedArtifact(name, builder, build)
