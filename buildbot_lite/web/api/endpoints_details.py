"""
Endpoints of what pages show beside a document: the story of one build, and the forms that force builds.
"""

from sqlalchemy import Connection

from ...status import build_details, build_documents
from ...status.build_details import BuildStory, StoryRows
from ...status.build_documents import Document
from ...storage.records import marks
from .definitions import ApiEndpoint, ApiRequest, TextKind, WholeKind, path_parameter
from .endpoints_control import AskMaster

_BUILDER = path_parameter("builder", TextKind(), "The builder's name; a slash in it is written %252F.")
_NUMBER = path_parameter("number", WholeKind(1), "The build's number.")


async def details(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/details``.
    """

    def read(connection: Connection) -> tuple[StoryRows, str | None]:
        row = build_documents.the_build(connection, request.given["builder"], request.given["number"], ())
        return build_details.read_story(connection, row), marks.why_kept(connection, row.id)

    story, why_kept = await request.view.records.read(read)
    return {**_of_story(build_details.story_from(story)), "why_kept": why_kept}


def _of_story(story: BuildStory) -> Document:
    builds = story.neighbours
    return {
        "previous": builds.previous,
        "next": builds.following,
        "last_good": builds.last_good,
        "first_bad": builds.first_bad,
        "source": dict(story.source),
        "changes": [each.id for each in story.changes],
        "elsewhere": [
            {"builder": builder, "number": number, "result": result} for builder, number, result in story.elsewhere
        ],
        "commands": [
            {"step": step, "line": each.line, "workdir": each.workdir, "env": list(each.env)}
            for step, commands in story.commands.items()
            for each in commands
        ],
        "remarks": [
            {"step": step, "log": each.log, "offset": each.offset, "at": each.at, "text": each.text}
            for step, remarks in story.remarks.items()
            for each in remarks
        ],
    }


ENDPOINTS = (
    ApiEndpoint(
        "/builds/{builder}/{number}/details",
        "Its neighbours, and what else its page shows: the builds of the same changes, its commands with their "
        "directories and the names of their variables, and the remarks beside its logs.",
        details,
        "BuildDetails",
        (_BUILDER, _NUMBER),
    ),
    ApiEndpoint(
        "/builders/{builder}/forms",
        "The parameters of the ForceSchedulers that can force builds of it; for holders of a string to control the "
        "farm.",
        AskMaster("force-forms", lambda given: {"builder": given["builder"]}, changes=False),
        "ForceForms",
        (_BUILDER,),
        kept=0,
    ),
)
