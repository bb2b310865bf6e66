"""
A form that is sent as the page shows it starts the same build as one that is forced without any value.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from buildbot_lite.errors import WrongValuesError
from buildbot_lite.master.config.force_parameters import ChoiceStringParameter
from buildbot_lite.plugins import schedulers, util
from buildbot_lite.status import force_forms
from buildbot_lite.status.force_forms import forms_of

from .pages_case import CONTROL, received
from .test_sessions import MAY, SessionCase


class _Broken(ChoiceStringParameter):
    def getChoices(self, master: Any, scheduler: Any, buildername: str) -> Sequence[Any]:
        raise ValueError("no list")


TEXTS: Sequence[Any] = (
    "",
    "a",
    "b",
    " a,b ",
    "a\nb",
    "a\r\nb",
    "\na",
    "<&\"'>",
    0,
    3,
    2.5,
    True,
    ["a"],
    [],
    ("a", 1),
    {"a": 1},
)
CHOICES = (("a", "b"), (1, 2), (), ("", "a"), ("a,b", "c"), ("z1", "z2", "z3", "a"))
SEVERAL: Sequence[Any] = (
    (),
    ("a",),
    ("b", "a"),
    (1,),
    (2, 1),
    ("gone",),
    ("a", "gone"),
    ("a,b",),
    ("a", "a"),
    ("",),
    "a,b",
    1,
)


def _parameters() -> list[Any]:
    """
    Every kind of parameter with every kind of default.
    """
    names = (f"x{number}" for number in itertools.count())
    kinds = [
        *(util.StringParameter, util.TextParameter, util.FileParameter, util.IntParameter, util.BooleanParameter),
        *(util.WorkerChoiceParameter, util.InheritBuildParameter),
    ]
    of_texts = [
        kind(name=next(names), default=default, multiple=multiple)
        for kind in kinds
        for default, multiple in itertools.product(TEXTS, (False, True))
        if (kind, default) != (util.WorkerChoiceParameter, "")
    ]
    of_texts.append(util.StringParameter(next(names), default="a", regex="b"))
    of_texts.append(util.StringParameter(next(names), default="long", maxsize=1))
    of_choices = [
        kind(next(names), choices=list(choices), default=default, multiple=multiple, strict=strict)
        for kind in (util.ChoiceStringParameter, _Broken)
        for choices, strict in itertools.product(CHOICES, (False, True))
        for multiple, defaults in ((False, TEXTS), (True, SEVERAL))
        for default in defaults
    ]
    return [*of_texts, *of_choices]


class _Browser(HTMLParser):
    """
    The names and values that a browser sends of the first form whose *action* is "force".
    """

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._inside = self._done = False
        self._select: tuple[str, bool, list[tuple[str, bool]]] | None = None
        self._area: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "form" and of.get("action") == "force":
            self._inside = not self._done
        elif not self._inside:
            return
        elif tag == "input":
            self.fields.append((of["name"], of["value"].replace("\r", "").replace("\n", "")))
        elif tag == "select":
            self._select = (of["name"], "multiple" in of, [])
        elif tag == "option" and self._select:
            self._select[2].append((of["value"], "selected" in of))
        elif tag == "textarea":
            self._area = [of["name"], ""]

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._inside:
            self._inside, self._done = False, True
        elif tag == "select" and self._select:
            name, multiple, options = self._select
            chosen = [value for value, selected in options if selected]
            sent = chosen if multiple else (chosen or [value for value, _ in options[:1]])[-1:]
            self.fields += [(name, value) for value in sent]
            self._select = None
        elif tag == "textarea" and self._area:
            self.fields.append((self._area[0], self._area[1].removeprefix("\n")))
            self._area = None

    @property
    def body(self) -> str:
        """
        The fields as they are sent.
        """
        lines = [(name, value.replace("\r\n", "\n").replace("\r", "\n")) for name, value in self.fields]
        return urlencode([(name, value.replace("\n", "\r\n")) for name, value in lines])


class UntouchedFormTests(SessionCase):
    def setUp(self) -> None:
        super().setUp()
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": [*MAY, "force"]}
        self.cookie = self.entered()

    def sent_untouched(self, scheduler: Any) -> Mapping[str, Any]:
        """
        What the page asks of the master when the form of *scheduler* is sent as it is shown.
        """
        config = SimpleNamespace(schedulers={"force": scheduler}, builders={})
        farm: Any = SimpleNamespace(config=config)
        self.holders.answers["force-forms"] = {"forms": json.loads(json.dumps(forms_of(farm, "linux")))}
        browser = _Browser()
        browser.feed(self.get("/builders/linux/force", self.cookie).text)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.cookie.items())
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(browser.body)}\r\n"
        request = f"POST /builders/linux/force HTTP/1.1\r\nHost: localhost:8010\r\n{head}\r\n{browser.body}"
        self.assertEqual(received(self.send(request.encode()).value()).status, 303)
        question: Mapping[str, Any] = self.holders.asked[-1][1]
        return question

    def test_untouched(self) -> None:
        """
        Promise 10.9: for every kind of parameter and of default, the form that is sent untouched gives the defaults.
        """
        several = [util.ChoiceStringParameter("m", choices=[1, 2], multiple=True, default=[1])]
        parameters = _parameters()
        with patch.object(force_forms, "MOST_CHOICES", 3):
            for start in range(0, len(parameters), 100):
                some = [*several, *parameters[start : start + 100]]
                scheduler = schedulers.ForceScheduler("force", ["linux"], properties=some)
                question = self.sent_untouched(scheduler)
                try:
                    checked = scheduler.check(question["properties"], question.get("reason"), "linux")
                except WrongValuesError as error:
                    self.fail(str(error))
                wanted = scheduler.check({}, None, "linux")
                for each in some:
                    shown = f"{type(each).__name__} {vars(each)!r}"
                    self.assertEqual(checked.properties.get(each.name), wanted.properties.get(each.name), shown)
                self.assertEqual(checked, wanted)

    def test_owner(self) -> None:
        """
        The same of the name of a person, which takes one value whatever its parameter says.
        """
        for default in ("", "A U Thor <a@example.org>", "nobody"):
            of_user = util.UserNameParameter(multiple=True, default=default)
            scheduler = schedulers.ForceScheduler("force", ["linux"], properties=[], username=of_user)
            question = self.sent_untouched(scheduler)
            checked = scheduler.check(question["properties"], question.get("reason"), "linux")
            self.assertEqual(checked, scheduler.check({}, None, "linux"))
