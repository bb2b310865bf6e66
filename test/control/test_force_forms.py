"""
What a page asks of somebody who forces a build.
"""

from typing import Any

from twisted.internet import reactor  # noqa: TID251 - one of these tests uses the network

from buildbot_lite.errors import InputError
from buildbot_lite.wire.client import ask
from buildbot_lite.wire.control import ExposedControl
from buildbot_lite.wire.exposed import Revocable
from test.master.configurations import ONE
from test.wire.test_roles import failing
from test.wire.tub_case import SWISSNUM, TubTestCase, with_reactor

from .test_admin import AdminDeskCase

FORCE = """
from buildbot_lite.plugins import schedulers, util
class Broken(util.ChoiceStringParameter):
    def getChoices(self, master, scheduler, buildername):
        raise ValueError("no list")
c['schedulers'] = [schedulers.ForceScheduler("force", ["b"], label="By hand", buttonName="Go",
    reason=util.StringParameter("reason", default="because"), username=util.FixedParameter("username", default=""),
    codebases=[util.CodebaseParameter("", revision=None, repository="fixed", project=None,
        branch=util.ChoiceStringParameter("branch", choices=["main", "next"], strict=False))],
    properties=[util.BooleanParameter("clean", default=True),
        util.IntParameter("n", default=3, required=True, tooltip="How many."),
        util.NestedParameter("group", fields=[util.TextParameter("text")]), util.StringParameter("secret", hide=True),
        util.WorkerChoiceParameter("where"), util.InheritBuildParameter("from"), Broken("broken")])]
"""


class ForceFormTests(AdminDeskCase):
    def forms(self, builder: str) -> Any:
        """
        The forms for *builder*.
        """
        return self.ask("force-forms", builder=builder)["forms"]

    def test_kinds(self) -> None:
        """
        Promise 10.9: every kind of parameter has its field; fixed and hidden ones have none.
        """
        self.harness.configure(f"{ONE}{FORCE}")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        (form,) = self.forms("b")
        self.assertEqual((form["scheduler"], form["label"], form["button"]), ("force", "By hand", "Go"))
        kinds = {each["name"]: each["kind"] for each in form["fields"]}
        wanted = {"reason": "text", "branch": "choice", "clean": "flag", "n": "number", "group.text": "lines"}
        self.assertEqual(kinds, {**wanted, "where": "slave", "from": "build", "broken": "choice"})
        fields = {each["name"]: each for each in form["fields"]}
        self.assertEqual(fields["where"]["choices"], ["any", "bot1"])
        self.assertTrue(fields["branch"]["open"])
        self.assertTrue(fields["n"]["required"])
        self.assertEqual(fields["n"]["demand"], "How many.")
        self.assertIn("no list", fields["broken"]["problem"])
        self.assertFalse(form["any"])

    def test_groups(self) -> None:
        """
        Promise 10.9: a field says to which codebase, patch and group of parameters it belongs; of a hidden group there
        is none; a file has a kind of its own.
        """
        text = (
            'c["schedulers"] = [schedulers.ForceScheduler("force", ["b"], codebases=['
            'util.CodebaseParameter("lib", label="Library", patch=util.PatchParameter()), '
            'util.CodebaseParameter("app", repository=None, project=None)], properties=['
            'util.NestedParameter("outer", label="Outer", fields=[util.StringParameter("x"), '
            'util.NestedParameter("inner", fields=[util.FileParameter("y")])]), '
            'util.NestedParameter("no", hide=True, fields=[util.StringParameter("z")]), util.StringParameter("s")])]\n'
        )
        self.harness.configure(f"{ONE}{text}")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        (form,) = self.forms("b")
        groups = {each["name"]: each["group"] for each in form["fields"]}
        wanted = {"username": "", "reason": "", "s": "", "outer.x": "Outer", "outer.inner.y": "Outer: inner"}
        wanted |= {f"lib.{each}": "Library" for each in ("branch", "revision", "repository", "project")}
        wanted |= {f"lib.patch.{each}": "Library: Patch" for each in ("body", "level", "author", "comment", "subdir")}
        wanted |= {f"app.{each}": "app" for each in ("branch", "revision")}
        self.assertEqual(groups, wanted)
        kinds = {each["name"]: each["kind"] for each in form["fields"]}
        self.assertEqual((kinds["outer.inner.y"], kinds["lib.patch.body"]), ("file", "file"))

    def test_demands(self) -> None:
        """
        Promise 10.9: a form says beforehand what a field must have: a mail address, or what its pattern demands.
        """
        text = (
            'c["schedulers"] = [schedulers.ForceScheduler("force", ["b"], username=util.UserNameParameter("Who"), '
            'properties=[util.StringParameter("tag", regex="v[0-9]+$"), util.StringParameter("free")])]\n'
        )
        self.harness.configure(f"{ONE}{text}")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        (form,) = self.forms("b")
        demands = {each["name"]: each["demand"] for each in form["fields"]}
        self.assertEqual(demands["username"], "With a mail address, like A U Thor <a@example.org>.")
        self.assertEqual((demands["tag"], demands["free"]), ("It must match v[0-9]+$", ""))
        error = self.refused("force", builder="b", scheduler="force", properties={"username": "Ann"})
        self.assertIn("must have a mail address", error)

    def test_wrong(self) -> None:
        """
        Promise 10.9: the answer has all values that are wrong, by the names of their fields; a client of an earlier
        version, which does not ask for them, is refused with the same sentences; nothing is submitted.
        """
        text = (
            'c["schedulers"] = [schedulers.ForceScheduler("force", ["b"], reason=util.StringParameter("why", '
            'required=True), properties=[util.IntParameter("n"), util.NestedParameter("group", fields=['
            'util.StringParameter("x", required=True)])])]\n'
        )
        self.harness.configure(f"{ONE}{text}")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        problems = self.ask("force", builder="b", properties={"n": "x"}, problems=True)["problems"]
        (form,) = self.forms("b")
        self.assertLessEqual({each["name"] for each in problems}, {each["name"] for each in form["fields"]})
        sentences = ["reason must be given.", "n must be a whole number, not 'x'.", "group.x must be given."]
        self.assertEqual([each["sentence"] for each in problems], sentences)
        self.assertEqual(self.refused("force", builder="b", properties={"n": "x"}), "\n".join(sentences))
        self.assertEqual(self.ask("queue")["queue"], [])

    def test_none(self) -> None:
        """
        A builder without a ForceScheduler has no form.
        """
        self.assertEqual(self.forms("no such builder"), [])


class ForceWireTests(TubTestCase, AdminDeskCase):
    """
    Clients of this version and of an earlier one.
    """

    def setUp(self) -> None:
        TubTestCase.setUp(self)
        AdminDeskCase.setUp(self)

    @with_reactor
    async def test_clients(self) -> None:
        """
        Promise 10.9: over the wire, a client gets all values that are wrong; one of an earlier version, which does not
        ask for them, gets their sentences as the same error as before.
        """
        text = (
            'c["schedulers"] = [schedulers.ForceScheduler("force", ["b"], properties=[util.IntParameter("n"), '
            'util.BooleanParameter("flag")])]\n'
        )
        self.harness.configure(f"{ONE}{text}")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        tub, listener = self.listening({SWISSNUM: ExposedControl(self.desk, Revocable())}.get)
        furl = self.furl(tub, listener)
        question = {"ask": "force", "builder": "b", "properties": {"n": "x", "flag": "y"}}
        sentences = ["n must be a whole number, not 'x'.", "flag must be true or false, not 'y'."]
        answer = await ask(reactor, furl, {**question, "problems": True})
        self.assertEqual([each["sentence"] for each in answer["problems"]], sentences)
        error = await failing(ask(reactor, furl, question))
        self.assertIs(type(error), InputError)
        self.assertEqual(str(error).splitlines(), sentences)
        # Of too many for one sentence of the wire, there are whole lines.
        many = {f"p{number}{'д' * 60}": "x" for number in range(40)}
        error = await failing(ask(reactor, furl, {**question, "properties": many}))
        *lines, last = str(error).splitlines()
        answer = await ask(reactor, furl, {**question, "properties": many, "problems": True})
        self.assertEqual(lines, [each["sentence"] for each in answer["problems"]][: len(lines)])
        self.assertEqual((last, len(lines) > 3), ("…", True))
