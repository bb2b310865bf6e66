"""
Forcing a build: the forms of the builder's ForceSchedulers, made from their parameters.
"""

from collections.abc import Mapping, Sequence

from ...errors import InputError, NotFoundError, PropertyError, RefusedError
from ...model.input_kinds import LARGEST_TEXT
from ..farm.live import Document
from ..html.rendering import segment
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .forms import TOO_LARGE, large_form_of, sent_to

FORCE = "force"
_SCHEDULER = "scheduler"
_OF_PARAMETER = "p."
"""Begins the names of fields that are parameters."""
_MORE = "more"


async def force(view: FarmView, asked: PageRequest, builder: str) -> Reply:
    """
    ``/builders/NAME/force``: GET shows the forms; POST forces a build, or shows the form again with what is wrong.
    """
    holder = asked.permitted(FORCE)
    answer = await view.ask(asked, holder, {"ask": "force-forms", "builder": builder})
    forms = answer.get("forms") or []
    if not forms:
        raise NotFoundError(f"Builds of {builder!r:.100} cannot be forced: no ForceScheduler in master.cfg has it.")
    if asked.method != "POST":
        return await _page(view, asked, builder, forms)
    given = await large_form_of(view, asked)
    try:
        form = _chosen(forms, given)
        values = values_of(form, given)
        reason = values.pop("reason", "")
        question = {"ask": FORCE, "builder": builder, "scheduler": form["scheduler"], "properties": values}
        await view.ask(asked, holder, {**question, "reason": reason} if reason else question)
    except (InputError, NotFoundError, PropertyError, RefusedError) as error:
        return await _page(view, asked, builder, forms, given, str(error))
    view.live.expire()
    return sent_to(f"../{segment(builder)}")


def _chosen(forms: Sequence[Document], given: Mapping[str, str]) -> Document:
    for form in forms:
        if form["scheduler"] == given.get(_SCHEDULER):
            return form
    raise InputError("The configuration has changed meanwhile: choose again.")


def values_of(form: Document, given: Mapping[str, str]) -> dict[str, str]:
    """
    The parameters of *form* in the fields *given*; what is left empty is not given.  `InputError` if a further property
    is not written as NAME=VALUE.
    """
    values = {}
    for field in form["fields"]:
        value = given.get(f"{_OF_PARAMETER}{field['name']}", "")
        if len(value.encode()) > LARGEST_TEXT:
            raise InputError(f"{field['label']} is too long.  {TOO_LARGE}")
        if value != "":
            values[field["name"]] = value
    lines = given.get(_MORE, "").split("\n") if form["any"] else []
    for line in filter(None, map(str.strip, lines)):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise InputError(f"Write each further property as NAME=VALUE, not {line!r:.80}.")
        values[name.strip()] = value.strip()
    return values


async def _page(
    view: FarmView,
    asked: PageRequest,
    builder: str,
    forms: list[Document],
    given: Mapping[str, str] | None = None,
    problem: str = "",
) -> Reply:
    status = 400 if problem else 200
    return await view.page(
        asked, "force.html", status, builder=builder, forms=forms, given=given or {}, problem=problem
    )


ROUTES = (Route("/builders/<builder>/force", force, ("GET", "HEAD", "POST"), kept=0),)
