"""
Forcing a build: the forms of the builder's ForceSchedulers, made from their parameters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, NotFoundError, PropertyError, RefusedError
from ...model.input_kinds import LARGEST_TEXT
from ..farm.live import Document
from ..html.rendering import segment
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .force_form import MORE, SCHEDULER, ValueProblem, sent_value, shown_form
from .forms import TOO_LARGE, large_form_of, sent_to

FORCE = "force"


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
        values, problems = values_of(form, given)
        if not problems:
            reason = values.pop("reason", "")
            question = {"ask": FORCE, "builder": builder, "scheduler": form["scheduler"], "properties": values}
            answer = await view.ask(
                asked, holder, {**question, "problems": True, **({"reason": reason} if reason else {})}
            )
            problems = [(each["name"], each["sentence"]) for each in answer.get("problems") or ()]
    except (InputError, NotFoundError, PropertyError, RefusedError) as error:
        # A master of an earlier version names the first value that is wrong in this way.
        return await _page(view, asked, builder, forms, given, problem=str(error))
    if problems:
        return await _page(view, asked, builder, forms, given, problems)
    view.live.expire()
    return sent_to(f"../{segment(builder)}")


def _chosen(forms: Sequence[Document], given: Mapping[str, str]) -> Document:
    for form in forms:
        if form["scheduler"] == given.get(SCHEDULER):
            return form
    raise InputError("The configuration has changed meanwhile: choose again.")


def values_of(form: Document, given: Mapping[str, str]) -> tuple[dict[str, Any], list[ValueProblem]]:
    """
    The parameters of *form* in the fields *given*, and what is wrong with them already here.  What is left empty is not
    given; but where several may be chosen and need not be, none of them is a choice.
    """
    values: dict[str, Any] = {}
    problems: list[ValueProblem] = []
    for field in form["fields"]:
        name = field["name"]
        value = sent_value(field, given)
        if isinstance(value, str) and len(value.encode()) > LARGEST_TEXT:
            problems.append((name, f"{name} is too long.  {TOO_LARGE}"))
        elif value != "":
            values[name] = value
    lines = given.get(MORE, "").split("\n") if form["any"] else []
    for line in filter(None, map(str.strip, lines)):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            problems.append(("", f"Write each further property as NAME=VALUE, not {line!r:.80}."))
        values[name.strip()] = value.strip()
    return values, problems


async def _page(
    view: FarmView,
    asked: PageRequest,
    builder: str,
    forms: Sequence[Document],
    given: Mapping[str, str] | None = None,
    problems: Sequence[ValueProblem] = (),
    *,
    problem: str = "",
) -> Reply:
    """
    The page with all *forms*.  *given*, *problems*: of the one that was sent.  *problem*: what is wrong with all of it.
    """
    shown = [
        shown_form(form, number, given, problems)
        if given is not None and form["scheduler"] == given.get(SCHEDULER)
        else shown_form(form, number)
        for number, form in enumerate(forms, 1)
    ]
    status = 400 if problem or problems else 200
    return await view.page(asked, "force.html", status, builder=builder, forms=shown, problem=problem)


ROUTES = (Route("/builders/<builder>/force", force, ("GET", "HEAD", "POST"), kept=0),)
