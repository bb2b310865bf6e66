"""
The functions of a master.cfg that the master calls: none can stop it.
"""

import re
import signal
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, UserFunctionOverdueError
from buildbot_lite.master.config.change_fields import change_of
from buildbot_lite.master.config.webhooks import HookDialect
from buildbot_lite.master.scheduling.changes.codebases import with_codebase
from buildbot_lite.master.scheduling.schedulers.submitting import SchedulerView, priority_for
from buildbot_lite.master.steps.step import _condition
from buildbot_lite.model import user_functions
from buildbot_lite.model.change import Change
from buildbot_lite.model.change_view import ChangeView
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import View, render_now
from buildbot_lite.model.time_limit import allow_interruptions
from buildbot_lite.plugins import changes, reporters, schedulers, steps, util
from buildbot_lite.status.reporters import formatting
from buildbot_lite.testing import command, run

from .configurations import configured

VIEW = View(Properties({}))
EVIL = ChangeView(Change(author="a", source="s", branch="a" * 60), 1, 0.0)
URL = "https://example.org/r"


def hang(*args: Any, **kwargs: Any) -> NoReturn:
    """
    A function of a master.cfg that never returns.  The limit of its caller, however long, ends at once: no test needs a
    short one, which other code could exceed, too, when the machine is busy.
    """
    allow_interruptions()
    signal.raise_signal(signal.SIGALRM)
    while True:
        pass


def search_without_end(text: str) -> None:
    """
    Search a line of *text* with a bad regular expression, until the limit of the caller ends, however long that is.
    """
    allow_interruptions()
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    re.search("(a+)+b", text)


class OwnRenderable:
    """
    A renderable of the user's.
    """

    def getRenderingFor(self, props: View) -> Any:
        """
        Never the value.
        """
        hang()


def now(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    """
    The result of *work*, which waits for nothing.
    """
    found: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(found.append)  # type: ignore[unused-awaitable]
    if isinstance(found[0], Exception):
        return found[0]
    found[0].raiseException()
    raise AssertionError(found)


def builder(**more: Any) -> Any:
    """
    A builder with one function.
    """
    return util.BuilderConfig("b", ["bot1"], util.BuildFactory(), **more)


def factory() -> Any:
    """
    A factory with a function for the work directory.
    """
    made = util.BuildFactory()
    made.workdir = hang
    return made


def scheduler(**more: Any) -> Any:
    """
    A scheduler with one function.
    """
    return schedulers.AnyBranchScheduler("s", ["b"], **more)


def message(formatter: Any) -> Any:
    """
    Format a message.
    """
    build = mock.Mock()
    build.view = VIEW
    with mock.patch.object(formatting, "context_of", return_value={"forever": iter(int, 1)}):
        return now(formatter.message([build], []))


HOOKS = f"""
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory())]
c["schedulers"] = []
from {__name__} import hang
"""

# The place, and what calls the function there.
CALLS: dict[str, Callable[[], Any]] = {
    "nextBuild": lambda: builder(nextBuild=hang).next_build(),
    "nextSlave": lambda: builder(nextSlave=hang).next_slave(),
    "nextWorker": lambda: builder(nextWorker=hang).next_slave(),
    "canStartBuild": lambda: builder(canStartBuild=hang).can_start_build(),
    "collapseRequests": lambda: builder(collapseRequests=hang).collapse_requests(),
    "mergeRequests": lambda: builder(mergeRequests=hang).collapse_requests(),
    "c['prioritizeBuilders']": lambda: configured(HOOKS + "c['prioritizeBuilders'] = hang").prioritize_builders(),
    "c['collapseRequests']": lambda: configured(HOOKS + "c['collapseRequests'] = hang").collapse_requests(),
    "filter_fn": lambda: util.ChangeFilter(filter_fn=hang).why_not(EVIL),
    "branch_fn": lambda: util.ChangeFilter(branch_fn=hang).why_not(EVIL),
    "branch_re": lambda: util.ChangeFilter(branch_re="(a+)+b").why_not(EVIL),
    "branch_not_re": lambda: util.ChangeFilter(branch_not_re="(a+)+b").why_not(EVIL),
    "fileIsImportant": lambda: scheduler(fileIsImportant=hang).choice.important(EVIL),
    "priority": lambda: now(
        priority_for(scheduler(priority=hang), [], SchedulerView(Properties(), {}, [], mock.Mock()), mock.Mock())
    ),
    "c['codebaseGenerator']": lambda: with_codebase(
        Change(author="a", source="s"), configured(HOOKS + "c['codebaseGenerator'] = hang").codebase_generator, 0.0
    ),
    "category of GitPoller": lambda: changes.GitPoller(URL, category=hang).category({}),
    "category of HgPoller": lambda: changes.HgPoller(URL, category=hang).category({}),
    "category of SVNPoller": lambda: changes.SVNPoller(URL, category=hang).category({}),
    "category of addChange": lambda: change_of({"author": "a", "category": hang}, "s"),
    "branches": lambda: changes.GitPoller(URL, branches=hang).followed.branches("a"),
    "split_file": lambda: changes.SVNPoller(URL, split_file=hang).split_file("a"),
    "revlink": lambda: changes.HgPoller(URL, revlink=hang).revlink("a", "b"),
    "branch_key": lambda: util.OldBuildCanceller("o", [], branch_key=hang).branch_key({}),
    "codebase of a webhook": lambda: HookDialect(
        name="github", secret="s", codebase=user_functions.limited(hang, "codebase")
    ).codebase_of({}),
    "renderer": lambda: render_now(util.renderer(hang), VIEW),
    "renderable of one's own": lambda: render_now([OwnRenderable()], VIEW),
    "Transform": lambda: render_now(util.Transform(hang, 1), VIEW),
    "WithProperties": lambda: render_now(util.WithProperties("%(a)s", a=hang), VIEW),
    "workdir": lambda: factory().workdir([]),
    "doStepIf, hideStepIf": lambda: now(_condition(hang, VIEW, None)),
    "function of a formatter": lambda: message(reporters.MessageFormatterFunction(hang)),
    "template": lambda: message(reporters.MessageFormatter("{% for x in forever %}{% endfor %}")),
    "subject": lambda: message(reporters.MessageFormatter(subject="{% for x in forever %}{% endfor %}")),
    "renderable of a formatter": lambda: message(reporters.MessageFormatterRenderable(util.renderer(hang))),
    "lookup": lambda: now(
        reporters.MailNotifier("a@example.org", lookup=SimpleNamespace(getAddress=hang))._address("x")
    ),
}


class FunctionLimitTests(SynchronousTestCase):
    """
    Promise 8.5: a function of a master.cfg that does not return stops nothing else.
    """

    def test_everywhere(self) -> None:
        """
        A function that never returns is ended wherever the master calls one, and the error says which it was.
        """
        # Some places have a search or a template without end instead of `hang`.
        self.patch(user_functions, "LONGEST_CALL", 0.05)
        for place, call in CALLS.items():
            with self.subTest(place):
                with self.assertRaises(BuildbotLiteError) as caught:
                    call()
                self.assertRegex(str(caught.exception), r"was ended|UserFunctionOverdueError")
        self.flushLoggedErrors(UserFunctionOverdueError)

    def test_in_steps(self) -> None:
        """
        A step whose function never returns is an EXCEPTION, and says why.
        """
        output = "a.c:1: warning: x\n"
        suppressed = {"warningExtractor": hang, "suppressionList": [("a", "b", None, None)]}
        for step in (
            steps.SetPropertyFromCommand(command=["x"], extract_fn=hang),
            steps.Compile(command=["x"], **suppressed),
        ):
            with self.subTest(type(step).__name__):
                ran = run(step, command("x").exits(0, output))
                self.assertEqual(ran.result.name, "EXCEPTION")
                self.assertRegex(ran.summary, r"(extract_fn|warningExtractor) \(hang, .*\) was ended")
