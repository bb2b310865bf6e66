"""
Change sources: how they are configured, started, polled, replaced and stopped.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import plugins
from buildbot_lite.cli.output.tables import TABLES
from buildbot_lite.errors import BuildbotLiteError, ConfigError
from buildbot_lite.master.config.change_fields import change_of, named
from buildbot_lite.master.config.change_sources import ChangeSource, PollingChangeSource
from buildbot_lite.master.scheduling.changes import running_source
from buildbot_lite.status import documents
from buildbot_lite.storage.records import changes, states
from buildbot_lite.storage.records.changes import RecordedChange

from .configurations import sentences_in
from .harness import MasterHarness


class Script:
    """
    The script of a test's sources.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.polls: list[Any] = []
        """What the next polls return: an exception is raised."""


SCRIPT = Script()


class FakeSource(PollingChangeSource):
    """
    A source that does what the script says.
    """

    def __init__(self, name: str, extra: object = None, **more: Any) -> None:
        super().__init__(name, **more)

    def activate(self) -> None:
        SCRIPT.events.append(f"{self.name} begins")

    def deactivate(self) -> None:
        SCRIPT.events.append(f"{self.name} ends")

    def poll(self) -> Any:
        SCRIPT.events.append(f"{self.name} polls")
        result = SCRIPT.polls.pop(0) if SCRIPT.polls else None
        if isinstance(result, Exception):
            raise result
        return result


class ChangeSourceCase(SynchronousTestCase):
    """
    A farm whose sources are scripted.
    """

    def setUp(self) -> None:
        SCRIPT.events.clear()
        SCRIPT.polls.clear()
        # Without jitter, pauses have exactly their configured lengths.
        self.patch(running_source, "JITTER", 0.0)
        self.patch(plugins, "changes", plugins.Namespace("changes", FakeSource, ChangeSource, PollingChangeSource))

    def farm(self, text: str) -> MasterHarness:
        """
        A farm with that configuration.
        """
        harness = MasterHarness(text)
        self.addCleanup(lambda: harness.done(harness.farm.change_sources.stop()))
        return harness

    def reconfigure(self, harness: MasterHarness, text: str) -> None:
        """
        Apply another configuration.
        """
        harness.configure(text)
        harness.done(harness.farm.reconfiguration.apply())
        harness.settle()

    def status_of(self, harness: MasterHarness) -> dict[str, Any]:
        """
        The only source, as ``status`` has it.
        """
        (document,) = documents.of_farm(harness.farm)["change_sources"]
        return dict(document)

    def changes(self, harness: MasterHarness) -> Sequence[RecordedChange]:
        """
        All changes that are recorded.
        """
        found: Sequence[RecordedChange] = harness.read(lambda connection: changes.after(connection, 0))
        return found


class PollingTests(ChangeSourceCase):
    """
    The times of polls, and errors in polls.
    """

    def test_interval(self) -> None:
        """
        Promise 8.1: a source polls after each interval; pollAtLaunch adds a poll at the start.
        """
        for at_launch, polled in ((False, [0, 1, 2]), (True, [1, 2, 3])):
            SCRIPT.events.clear()
            harness = self.farm(
                f'c["change_source"] = changes.FakeSource("p", pollInterval=100, pollAtLaunch={at_launch})'
            )
            counts = [SCRIPT.events.count("p polls")]
            for _ in range(2):
                harness.settle(99)
                harness.settle(1)
                counts.append(SCRIPT.events.count("p polls"))
            self.assertEqual(counts, polled)
            harness.done(harness.farm.change_sources.stop())

    def test_random_delay(self) -> None:
        """
        Before each poll passes a number of seconds between pollRandomDelayMin and pollRandomDelayMax; also before that
        at launch, so that many sources do not poll all at once then.
        """
        for more, least in (("", 110), (", pollAtLaunch=True", 10)):
            harness = self.farm(
                'c["change_source"] = '
                f'[changes.FakeSource("p", pollInterval=100, pollRandomDelayMin=10, pollRandomDelayMax=20{more})]'
            )
            (running,) = harness.farm.change_sources.everyone()
            assert running.status.next is not None
            pause = running.status.next - harness.clock.seconds()

            self.assertTrue(least <= pause <= least + 10, pause)
            harness.done(harness.farm.change_sources.stop())

    def test_interval_of_zero(self) -> None:
        """
        With pollInterval=0 a source polls at launch or not at all.
        """
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=0, pollAtLaunch=True)')
        harness.settle(100_000)

        self.assertEqual(SCRIPT.events, ["p begins", "p polls"])
        self.assertIsNone(self.status_of(harness)["next"])

    def test_polls_do_not_overlap(self) -> None:
        """
        A poll begins one interval after the end of the previous one; a poll is cancelled after two hours.
        """
        slow: Deferred[None] = Deferred()
        SCRIPT.polls[:] = [slow, Deferred()]
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=100)')
        harness.settle(100)
        harness.settle(5000)
        self.assertEqual(SCRIPT.events.count("p polls"), 1)
        self.assertIsNotNone(self.status_of(harness)["polling"])

        slow.callback(None)
        harness.settle(100)
        self.assertEqual(SCRIPT.events.count("p polls"), 2)
        harness.settle(running_source.LONGEST_POLL)

        self.assertIn("did not end within 120 min", self.status_of(harness)["error"])

    def test_woken_often(self) -> None:
        """
        Promise 8.1: a hook that wakes a source all the time makes it poll once a second.
        """
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=1000)')
        (running,) = harness.farm.change_sources.everyone()
        for _ in range(45):
            running.poll_soon()
            harness.settle(0.1)

        self.assertEqual(SCRIPT.events.count("p polls"), 5)

    def test_errors(self) -> None:
        """
        Promise 8.1: after an error, polls continue: the error is logged once, the status has it with the time of the
        next attempt, and the pauses double up to ten minutes.
        """
        away = BuildbotLiteError("https://user:sesame@example.org/ does not \x1b[31manswer.")
        SCRIPT.polls[:] = [away] * 6
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=300)')
        with capturedLogs() as logged:
            harness.settle(300)
            pauses = []
            for _ in range(5):
                status = self.status_of(harness)
                pauses.append(status["next"] - harness.clock.seconds())
                harness.settle(pauses[-1])
            text = str(TABLES["status"](documents.of_farm(harness.farm)))
            harness.settle(600)

        self.assertEqual(pauses, [60, 120, 240, 480, 600])
        self.assertEqual(status["error"], "https://user:*****@example.org/ does not ?[31manswer.")
        self.assertEqual([each["log_level"].name for each in logged if "source" in each], ["warn", "info"])
        self.assertNotIn("sesame", text)
        self.assertIsNone(self.status_of(harness)["error"])
        self.assertEqual(self.status_of(harness)["failures"], 0)

    def test_defects(self) -> None:
        """
        An exception of a source's own code is in the log with its traceback, and status names it.
        """
        SCRIPT.polls[:] = [KeyError("no such thing")]
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=30)')
        harness.settle(30)

        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.status_of(harness)["error"], "KeyError: 'no such thing'")
        harness.settle(30)
        self.assertIsNone(self.status_of(harness)["error"])

    def test_cancelled_inside(self) -> None:
        """
        A source that cancels its own Deferred continues to poll.
        """
        cancelled: Deferred[None] = Deferred()
        SCRIPT.polls[:] = [cancelled]
        harness = self.farm('c["change_source"] = changes.FakeSource("p", pollInterval=30)')
        harness.settle(30)
        cancelled.cancel()
        self.flushLoggedErrors()
        harness.settle(60)

        self.assertEqual(SCRIPT.events.count("p polls"), 2)


class ReconfiguringTests(ChangeSourceCase):
    """
    Sources when master.cfg changes.
    """

    def source(self, interval: int = 100) -> str:
        """
        A configuration with one source that polls every *interval* seconds.
        """
        return f'c["change_source"] = [changes.FakeSource("p", pollInterval={interval})]'

    def test_unchanged(self) -> None:
        """
        Promise 8.1: an unchanged source continues, also in the middle of a poll.
        """
        harness = self.farm(self.source())
        slow: Deferred[None] = Deferred()
        SCRIPT.polls[:] = [slow]
        harness.settle(100)
        self.reconfigure(harness, self.source() + '\nc["title"] = "another"')
        self.assertEqual(SCRIPT.events, ["p begins", "p polls"])
        slow.callback(None)
        harness.settle(100)

        self.assertEqual(SCRIPT.events, ["p begins", "p polls", "p polls"])

    def test_changed(self) -> None:
        """
        A changed source is deactivated before its successor is activated; a removed source is deactivated.
        """
        harness = self.farm(self.source())
        slow: Deferred[None] = Deferred()
        SCRIPT.polls[:] = [slow]
        harness.settle(100)
        self.reconfigure(harness, self.source(50))
        self.assertEqual(SCRIPT.events, ["p begins", "p polls", "p ends", "p begins"])
        harness.settle(50)
        self.assertEqual(SCRIPT.events[4:], ["p polls"])
        self.reconfigure(harness, "")
        harness.settle(500)

        self.assertEqual(SCRIPT.events[5:], ["p ends"])
        self.assertEqual(documents.of_farm(harness.farm)["change_sources"], [])

    def test_polls_are_not_postponed(self) -> None:
        """
        Promise 8.1: reconfigurations that come more often than the interval, and each change the source, do not
        postpone a poll.
        """
        text = 'c["change_source"] = changes.FakeSource("p", lambda: 0, pollInterval=100)'
        harness = self.farm(text)
        for _ in range(4):
            harness.settle(30)
            self.reconfigure(harness, text)

        self.assertEqual(SCRIPT.events.count("p polls"), 1)

    def test_changed_after_an_error(self) -> None:
        """
        A source whose poll failed polls at once after its configuration was changed.
        """
        SCRIPT.polls[:] = [BuildbotLiteError("no")]
        harness = self.farm(self.source())
        harness.settle(100)
        self.assertEqual(self.status_of(harness)["error"], "no")
        self.reconfigure(harness, self.source(5000))

        self.assertIsNone(self.status_of(harness)["error"])

    def test_stop(self) -> None:
        """
        A farm that stops deactivates its sources, and none polls afterwards.
        """
        harness = self.farm(self.source())
        harness.done(harness.farm.change_sources.stop())
        harness.settle(1000)

        self.assertEqual(SCRIPT.events, ["p begins", "p ends"])


class AddingTests(ChangeSourceCase):
    """
    Changes and state of a user's own source.
    """

    TEXT = """
class Own(changes.PollingChangeSource):
    async def poll(self):
        seen = await self.getState("seen", 0)
        await self.addChange(who="a <a@b>", revision=f"r{seen}", files=["f"], properties={"p": 1}, branch="main",
                             category=lambda change: "c-" + change["branch"], when_timestamp=5)
        await self.master.data.updates.addChange(author=b"b", comments="same", revision="same")
        await self.setState("seen", seen + 1)

c["change_source"] = Own("own", pollInterval=10)
"""

    def test_own_source(self) -> None:
        """
        Promise 8.1: a subclass in master.cfg adds changes by Buildbot's names, and its state survives a restart.
        """
        harness = self.farm(self.TEXT)
        harness.settle(10)
        harness.done(harness.farm.change_sources.stop())
        harness.restart()
        harness.settle(10)
        found = [each.change for each in self.changes(harness)]

        self.assertEqual([each.revision for each in found], ["r0", "same", "r1"])
        self.assertEqual(found[0].author, "a <a@b>")
        self.assertEqual((found[0].files, found[0].category, found[0].happened), (("f",), "c-main", 5.0))
        self.assertEqual(found[0].properties, {"p": [1, "Change"]})
        self.assertEqual((found[1].author, found[1].source), ("b", "own"))
        self.assertEqual(harness.read(lambda c: states.get(c, "source:own")), {"seen": 2})

    def test_wrong_fields(self) -> None:
        """
        AddChange names an argument that does not exist, and a value that a change cannot have.
        """
        for fields, sentence in (
            ({"author": "a", "autor": "b"}, "addChange has no argument 'autor'."),
            ({"author": "a", "properties": {"p": object()}}, "p"),
        ):
            with self.assertRaises(BuildbotLiteError) as caught:
                change_of(fields, "s")
            self.assertIn(sentence, str(caught.exception))

    def test_times(self) -> None:
        """
        A time outside the calendar is replaced by the nearest possible time.
        """
        self.assertEqual(change_of({"author": "a", "when": -5}, "s").happened, 0.0)
        self.assertLess(change_of({"author": "a", "when": 1e30}, "s").happened or 0, 1e12)


class MistakesTests(ChangeSourceCase):
    """
    The mistakes that checkconfig reports.
    """

    def test_mistakes(self) -> None:
        """
        Objects that are no sources, repeated names, wrong intervals, and methods that are never called are mistakes.
        """
        cases = {
            'c["change_source"] = [1]': "c['change_source'] has 1 in it, which is not a change source.",
            'c["change_source"] = "x"': "c['change_source'] must be a list, not 'x'.",
            'c["change_source"] = [changes.FakeSource("p"), changes.FakeSource("p")]': (
                "There are two change_source called 'p'; the first is at master.cfg:3.  Give one of them another "
                "name=…."
            ),
            'changes.FakeSource("p", pollInterval=-1)': "pollInterval must be a time in seconds, 0 or more, not -1.",
            'changes.FakeSource("p", pollAtLaunch=3)': "pollAtLaunch must be True or False, not 3.",
            'changes.FakeSource("p", pollRandomDelayMin=3)': "pollRandomDelayMin must not be above pollRandomDelayMax.",
            'changes.FakeSource("p", pollInterval=5, pollRandomDelayMax=5)': (
                "pollRandomDelayMax must be less than pollInterval."
            ),
            'changes.FakeSource("")': "name must be 1 to 150 printable characters, not ''.",
            'changes.FakeSource("p", pollInterval=1, pollinterval=2)': "pollinterval is the old name of pollInterval.",
            "class S(changes.ChangeSource):\n    def startService(self): pass": (
                "S.startService is never called here.  Write it as activate."
            ),
        }
        for text, sentence in cases.items():
            with self.subTest(text=text):
                (found,) = sentences_in(text)
                self.assertIn(sentence, found)

    def test_names(self) -> None:
        """
        A source without a name is named after its URL, without the password, up to the longest length.
        """
        self.assertEqual(named(None, "https://u:secret@h/x"), "https://u:*****@h/x")
        self.assertEqual(named("n", "https://h/x"), "n")
        long = [named(None, "https://h/" + "x" * 300 + end) for end in "ab"]
        self.assertEqual([len(each) for each in long], [150, 150])
        self.assertNotEqual(*long)

    def test_poll_is_missing(self) -> None:
        """
        A polling source without a method poll raises an error that says so.
        """
        self.assertRaises(ConfigError, PollingChangeSource("p").poll)
