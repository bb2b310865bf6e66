"""
A real farm in a real browser: what happens is on the page, without a reload.
"""

import json
import re
from typing import ClassVar

from ..needs import needs
from ..ports import free_port
from ..processes.farm import Daemon, Farm
from .browser_case import BrowserCase

TAC = "from buildbot_lite.web_tap import application_for\napplication = application_for(port='{port}')\n"
SCRIPT = (
    "echo first line; until [ -e \"$WITNESS/go\" ]; do sleep 0.05; done; echo '<b>second</b> line'; "
    'until [ -e "$WITNESS/end" ]; do sleep 0.05; done; echo last line'
)
FORCED = "steps.ShellCommand(command=['sh', '-c', 'seq 60; echo \"$1\"; exit 1', 'sh', util.Property('text')])"
SCHEDULERS = """
c["schedulers"] += [
    schedulers.ForceScheduler("plain", builderNames=["forced"]),
    schedulers.ForceScheduler("text", builderNames=["forced"], buttonName="Go", codebases=[util.CodebaseParameter(
        "", patch=util.PatchParameter())], properties=[util.FileParameter("text", label="Text")]),
]
"""
KINDS = """
class Computed(util.ChoiceStringParameter):
    def getChoices(self, master, scheduler, buildername):
        return [f"of-{buildername}", "of-all"]
c["schedulers"].append(schedulers.ForceScheduler("kinds", builderNames=["kinds"], buttonName="Build",
    reason=util.StringParameter("reason", label="Why", required=True), username=util.UserNameParameter("Who"),
    codebases=[util.CodebaseParameter("", branch=util.ChoiceStringParameter("branch", label="Branch", default="main",
        choices=["main", "next"], strict=False), revision=None, repository="fixed", project=None)],
    properties=[
        util.StringParameter("line", label="Line", default="<i>a</i>", tooltip="One line."),
        util.TextParameter("text", label="Text", default="a\\n b", tooltip="Some lines."),
        util.FixedParameter("fixed", default="always"),
        util.StringParameter("hidden", default="unseen", hide=True),
        util.IntParameter("number", label="Number", default=3, tooltip="How many."),
        util.BooleanParameter("flag", label="Flag", default=True, tooltip="Whether."),
        util.ChoiceStringParameter("one", label="One", choices=["a", "b"], default="b", tooltip="Which."),
        util.ChoiceStringParameter("some", label="Some", choices=["a", "b", "c"], default=["b"], multiple=True),
        util.ChoiceStringParameter("open", label="Open", choices=["a"], multiple=True, strict=False),
        Computed("computed", label="Computed"),
        util.WorkerChoiceParameter("where", label="Where"),
        util.InheritBuildParameter("from", label="From"),
        util.FileParameter("file", label="File"),
        util.NestedParameter("outer", label="Outer", fields=[
            util.StringParameter("tag", label="Tag", regex="v[0-9]+$"),
            util.NestedParameter("inner", label="Inner", fields=[util.IntParameter("n", label="N", default=1)])]),
        util.AnyPropertyParameter("any"),
    ]))
"""
FIELDS = {
    # the parameter: its label, its default, the sentence about it, what is given, and the value of the property
    "username": ("Who", "", "With a mail address, like A U Thor <a@example.org>.", "Ada <a@example.org>", None),
    "reason": ("Why (needed)", "", "", "try <b>", None),
    "branch": ("Branch", "main", "", "topic", "topic"),
    "line": ("Line", "<i>a</i>", "One line.", "<b>&amp; Ж", "<b>&amp; Ж"),
    "text": ("Text", "a\n b", "Some lines.", "1\n <2>", "1\n <2>"),
    "number": ("Number", "3", "How many.", "-7", -7),
    "flag": ("Flag", "true", "Whether.", "false", False),
    "one": ("One", "b", "Which.", "a", "a"),
    "some": ("Some", "b", "", "a,c", ["a", "c"]),
    "open": ("Open", "", "", "a,x", ["a", "x"]),
    "computed": ("Computed", "", "", "of-all", "of-all"),
    "where": ("Where", "any", "", "bot1", None),
    "from": ("From", "", "", "", None),
    "file": ("File", "", "", "content", "content"),
    "outer.tag": ("Tag", "", "It must match v[0-9]+$", "v5", None),
    "outer.inner.n": ("N", "1", "", "2", None),
}
GROUPS = """
return Object.fromEntries([...document.querySelectorAll("fieldset [name^='p.']")].map((each) =>
    [each.name.slice(2), each.closest("fieldset").querySelector("legend").textContent]));
"""
WRONG = """
return Object.fromEntries([...document.querySelectorAll("[aria-invalid]")].map((each) =>
    [each.name, document.getElementById(each.getAttribute("aria-describedby").split(" ")[0]).textContent]));
"""
SHOWN = """
return [...document.querySelectorAll("form.force [name^='p.']")].map((each) => [each.name.slice(2),
    each.labels[0].textContent, each.multiple ? [...each.selectedOptions].map((one) => one.value).join() : each.value,
    document.getElementById(each.getAttribute("aria-describedby"))?.textContent ?? ""]);
"""
LINKED = 'return [...document.links].some((each) => each.href.endsWith("/builders/kinds/1"))'
PROPERTIES = """
const root = new URL(document.documentElement.dataset.root, location);
return fetch(new URL("api/v1/builds/kinds/1/properties", root)).then((answer) => answer.json());
"""
END_IS_SEEN = """
const [frame, text] = [".tail", ".tail code"].map((each) => document.querySelector(each).getBoundingClientRect());
return frame.height < text.height && text.bottom <= frame.bottom;
"""
FORGED = """
const [path, fields] = arguments;
return fetch(new URL(path, new URL(document.documentElement.dataset.root, location)),
    {method: "POST", body: new URLSearchParams(fields)}).then((answer) => answer.status);
"""


def web_process_of(farm: Farm) -> tuple[Daemon, str]:
    """
    A web process in the directory of *farm*'s master, which is not started yet; and its address.
    """
    directory = farm.master_directory / "web"
    directory.mkdir()
    port = free_port()
    (directory / "web.tac").write_text(TAC.format(port=port))
    return Daemon("web", directory, farm.env, "web.tac", "listening at"), f"http://127.0.0.1:{port}/"


@needs("chromium", "chromedriver")
class RealFarmTests(BrowserCase):
    """
    A master, a slave and a web process.
    """

    farm: ClassVar[Farm]
    web: ClassVar[Daemon]

    @classmethod
    def serve(cls) -> str:
        """
        Start the farm.
        """
        cls.farm = Farm("bot1").builder("slow", SCRIPT).builder("endless", "sleep 1000")
        cls.farm.builder("forced", FORCED).config(SCHEDULERS)
        cls.farm.builder("kinds", "true", submit=None).config(KINDS)
        cls.addClassCleanup(cls.farm.close)
        cls.web, address = web_process_of(cls.farm)
        cls.farm.start()
        cls.web.start()
        return address

    def sign_in(self) -> None:
        """
        Enter the pages with the admin's string.
        """
        self.browser.open("enter")
        # Without a line feed at its end, which would be the key Enter.
        admin = (self.farm.master_directory / "private" / "admin.furl").read_text().replace("\n", "")
        self.browser.one("input[name=code]").send_keys(admin)
        self.browser.click("button", "Sign in")
        self.browser.by_role("button", "Sign out")

    def fill(self, name: str, value: str) -> None:
        """
        Type or choose *value* in the field of a parameter; several choices have commas between them.
        """
        field = self.browser.one(f"[name='p.{name}']")
        if field.tag_name != "select":
            field.clear()
            field.send_keys(value)
            return
        chosen = value.split(",")
        for option in field.find_elements("tag name", "option"):
            if option.is_selected() != (option.get_property("value") in chosen) and (
                field.get_property("multiple") or not option.is_selected()
            ):
                option.click()

    def test_all_kinds(self) -> None:
        """
        Promise 10.9: the form has a field for each kind of parameter, with its label, default and tooltip, in the
        group to which it belongs; all that is wrong is said beside its field and above the form, which keeps what was
        typed; what is right becomes properties, and of a choice of several, none.
        """
        browser = self.browser
        self.sign_in()
        browser.open("builders/kinds/force")
        shown = [[name, label, default, demand] for name, (label, default, demand, _, _) in FIELDS.items()]
        self.assertEqual(browser.run(SHOWN), shown)
        self.assertEqual(browser.run(GROUPS), {"outer.tag": "Outer", "outer.inner.n": "Outer: Inner"})
        self.assert_sound()
        for name, (_, _, _, value, _) in FIELDS.items():
            self.fill(name, value)
        wrong = {"username": "Ada", "open": "a,x", "outer.tag": "5", "some": ""}
        for name, value in wrong.items():
            self.fill(name, value)
        browser.one("textarea[name=more]").send_keys("further=1=2")
        browser.click("button", "Build")
        summary = browser.until(lambda: browser.all("[role=alert] li"), "what is wrong is said")
        self.assertEqual(
            [each.text for each in summary],
            [
                "Who must have a mail address, like \"A U Thor <a@example.org>\", not 'Ada'.",
                "Outer: Tag must match 'v[0-9]+$', and '5' does not.",
            ],
        )
        typed = [[name, wrong.get(name, value)] for name, (_, _, _, value, _) in FIELDS.items()]
        self.assertEqual([[name, value] for name, _, value, _ in browser.run(SHOWN)], typed)
        self.assertEqual(browser.run(WRONG), {"p.username": summary[0].text, "p.outer.tag": summary[1].text[7:]})
        # A browser sets the focus when it has shown the page.
        browser.until(
            lambda: browser.run("return document.activeElement.name") == "p.username", "the first field has the focus"
        )
        summary[1].find_element("tag name", "a").click()
        browser.until(
            lambda: browser.run("return document.activeElement.name") == "p.outer.tag", "the link leads there"
        )
        browser.complaints()  # the refusal
        for dark in (True, False):
            self.assertEqual(browser.dark(on=dark).violations(), [])
        self.assert_sound()

        self.fill("username", "Ada <a@example.org>")
        self.fill("outer.tag", "v5")
        browser.click("button", "Build")
        browser.until(lambda: browser.run(LINKED), "the build is on the page of its builder")
        # It has its properties some time after its number; and where the machine is slow, an answer may be that it
        # takes too long, on a page that is not live.
        browser.until(lambda: "succeeded" in browser.open("builders/kinds/1").text, "the build has ended")
        told = browser.until(lambda: browser.run(PROPERTIES).get("properties"), "the API tells its properties")
        found = {name: value for name, (value, _) in told.items()}
        wanted: dict[str, object] = {name: value for name, (_, _, _, _, value) in FIELDS.items() if value is not None}
        wanted["some"] = []
        wanted |= {"fixed": "always", "hidden": "unseen", "further": "1=2", "owner": "Ada <a@example.org>"}
        wanted |= {"outer": {"tag": "v5", "inner": {"n": 2}}, "repository": "fixed"}
        self.assertEqual({name: found.get(name) for name in wanted}, wanted)
        self.assertEqual({"where", "from", "username", "reason"} & found.keys(), set())

    def test_followed(self) -> None:
        """
        Promise 10.1: a submitted build, its log and its end appear on pages that were open before, without a reload;
        the pages say when the master is away, and when it is back.
        """
        farm, browser = self.farm, self.browser
        browser.open()
        browser.run("window.unchanged = true")
        browser.until(lambda: "bot1" in browser.text, "the page knows the slave")
        client = farm.submitting("slow")
        browser.until(lambda: browser.all(".result.running"), "the build is on the farm's page")

        browser.open("builders/slow/1")
        browser.run("window.unchanged = true")
        browser.click("link", "stdio")
        browser.until(lambda: "first line" in browser.text, "the log is shown")
        browser.run("window.unchanged = true")
        (farm.witness / "go").touch()
        browser.until(lambda: "<b>second</b> line" in browser.text, "the log grows")
        self.assertTrue(browser.run("return window.unchanged"))

        browser.open("builders/slow/1")
        browser.run("window.unchanged = true")
        (farm.witness / "end").touch()
        self.assertEqual(client.wait().code, 0)
        browser.until(lambda: "succeeded" in browser.text, "the build has ended")
        self.assertTrue(browser.run("return window.unchanged"))

        farm.master.stop()
        browser.until(lambda: "master has not answered" in browser.text, "the page says that the master is away")
        self.assertIn("succeeded", browser.text)
        farm.start_master()
        browser.until(lambda: "master has not answered" not in browser.text, "the page says that the master is back")
        self.assertTrue(browser.run("return window.unchanged"))
        self.assert_sound()

    def test_forced(self) -> None:
        """
        Promise 10.9: of several forms on a page each label leads to its own field; a file becomes the value of its
        parameter.  Promise 10.2: the build that failed is open at the end of its log.
        """
        farm, browser = self.farm, self.browser
        self.sign_in()
        browser.open("builders/forced/force")
        self.assert_sound()
        (farm.witness / "text").write_text("\n<b>\ttext</b>")
        browser.one("input[aria-label='Choose a file for Text']").send_keys(str(farm.witness / "text"))
        browser.until(lambda: "text</b>" in str(browser.one("textarea[data-file*=Text]").get_property("value")), "read")
        browser.click("button", "Go")
        browser.by_role("button", "Sign out")
        browser.open("builders/forced/1")
        browser.until(lambda: "text</b>" in browser.text, "the end of the log is shown")
        browser.until(lambda: browser.run(END_IS_SEEN), "the end of the log is seen")
        self.assert_sound()

    def test_cancelled(self) -> None:
        """
        Promise 10.7: without a grant there is no button, and a forged request is refused; with the code of ``grant
        control --web`` a build is cancelled; when the grant is revoked, the browser is a visitor again at once.
        """
        farm, browser = self.farm, self.browser
        client = farm.submitting("endless")
        browser.open()
        browser.until(lambda: browser.all("a[href='builders/endless/1']"), "the build is on the farm's page")
        browser.open("builders/endless/1")
        self.assertEqual(browser.with_role("button", "Cancel"), [])
        self.assertEqual(browser.run(FORGED, "do/cancel", "request=1"), 401)
        browser.complaints()  # the refusal

        granted = farm.command("grant", "control", "--web", "--label", "Ada's browser", str(farm.master_directory))
        address = re.search(r"http://\S+", granted.out.decode())
        assert address is not None, granted
        browser.open(address[0])
        browser.click("button", "Sign in")
        browser.by_role("button", "Sign out")
        self.assertIn("Ada's browser", browser.text)
        self.assert_sound()
        browser.open("builders/endless/1")
        browser.click("button", "Cancel")
        browser.until(lambda: "was cancelled" in browser.text, "the build is cancelled")
        self.assertEqual(client.wait().code, 4)
        self.assert_sound()

        listed = json.loads(farm.command("grants", "--json", str(farm.master_directory)).out)
        (session,) = [each for each in listed if "Ada's browser" in (each["label"] or "")]
        revoked = farm.command("revoke", str(farm.master_directory), f"#{session['grant']}")
        self.assertEqual(revoked.code, 0, revoked)
        browser.open()
        browser.by_role("link", "Sign in")
