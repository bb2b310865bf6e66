"""
Mail to the submitters of packages.
"""

import email
from collections.abc import Sequence
from email import policy

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.service import job_mail
from buildbot_lite.status.reporters.mail import MOST_RECIPIENTS, MailNotifier
from buildbot_lite.storage.records import outbox
from buildbot_lite.storage.records.outbox import OutboxMessage
from test.control.test_submissions import FakeWatcher

from .archives import archive, greet
from .test_job_questions import QuestionCase
from .test_job_repositories import RepositoryCase


class MailCase(QuestionCase):
    """
    A farm that sends mail.
    """

    def configuration(self) -> str:
        return (
            super().configuration()
            + 'c["services"] = [reporters.MailNotifier("farm@example.org", name="mail", generators=[])]\n'
        )

    def setUp(self) -> None:
        super().setUp()
        self.attach()

    def submit_as(self, label: str) -> None:
        """
        Submit a package with a string of that label, to a slave that builds it.
        """
        watcher = FakeWatcher()
        feed = self.successResultOf(self.target_of_grant(self.grant("submit", "bookworm", label).id).execute(watcher))
        assert feed is not None
        feed.feed(archive(greet()))
        feed.close()
        self.harness.settle()

    def messages(self) -> Sequence[OutboxMessage]:
        """
        The stored messages.
        """
        found: Sequence[OutboxMessage] = self.harness.read(
            lambda c: outbox.due(c, "mail", self.harness.clock.seconds())
        )
        return found


class JobMailTests(MailCase):
    """
    The messages that are stored for the mail server.
    """

    def test_failed(self) -> None:
        """
        Promise 9.8: the submitter gets the result, each architecture and the last lines of the log that matters; also
        when the master has died meanwhile, and once.
        """
        self.building.failing.add("any +farm1 i386")
        self.submit_as("Ann <ann@example.org>")
        self.harness.restart()
        (message,) = self.messages()
        self.assertEqual(message.body["to"], ["ann@example.org"])
        self.assertEqual(message.body["subject"], "greet 1.0 for bookworm: failed (job 1)")
        text = message.body["text"]
        last = "The last lines of build.log for i386:\n\n  $ "
        for part in ("amd64  done\n", "i386   failed: ", "all    skipped: ", last):
            self.assertIn(part, text)

    def test_printable(self) -> None:
        """
        Names that a submitter chose cannot reverse a line of the mail, or send escape sequences to the reader's
        terminal.
        """
        self.submit_as("Ann <ann@example.org>")
        job = evolve(self.job(), built_version=None, version="at v\u202e1", target="b\x9b31m")
        text = self.harness.read(lambda connection: job_mail.text_of(connection, job, "", None))
        self.assertIn("greet at v?1 for b?31m, is finished.\n", text)

    def test_more(self) -> None:
        """
        Promise 9.8: the mail names the command that shows more.
        """
        self.submit_as("ann@example.org")
        (message,) = self.messages()
        text = message.body["text"]
        self.assertTrue(text.endswith("\n\nTo see more: buildbot-lite package show 1\n"), text)

    def test_prepping(self) -> None:
        """
        Promise 9.8: of a package that was not yet being built, root.log is the log that matters.
        """
        self.building.failing.add("dpkg-query")
        self.submit_as("ann@example.org")
        (message,) = self.messages()
        self.assertIn("The last lines of root.log for amd64:", message.body["text"])

    def test_finished(self) -> None:
        """
        A successful job gives mail, too; a submitter without an address gets none.
        """
        self.submit_as("somebody")
        self.assertEqual(self.messages(), [])
        self.submit_as("ann@example.org")
        (message,) = self.messages()
        self.assertEqual(message.body["subject"], "greet 1.0+farm1 for bookworm: finished (job 2)")


class ScriptFailedTests(RepositoryCase):
    """
    A target whose ``repo_script`` fails.
    """

    def configuration(self) -> str:
        return (
            super().configuration()
            + 'c["services"] = [reporters.MailNotifier("farm@example.org", name="mail", generators=[], '
            + 'extraRecipients=["Admin <admin@example.org>"])]\n'
        )

    def test_admin(self) -> None:
        """
        Promise 9.7: those whom the farm's mail goes to are told that the script after publishing failed, though the
        submitter has no address; what succeeds or fails by its package is told to submitters alone.
        """
        self.build()
        self.repository.errors["announce"] = InputError("The packages are public, but push.sh failed.")
        self.submit()
        self.harness.settle()
        self.repository.errors = {"enter": InputError("No.")}
        self.submit()
        self.harness.settle()
        self.assertEqual([self.job(number).state for number in (1, 2, 3)], ["finished", "finished", "failed"])
        (message,) = self.harness.read(lambda c: outbox.due(c, "mail", self.harness.clock.seconds()))
        self.assertEqual(message.body["to"], ["admin@example.org"])
        self.assertIn("The packages are public, but push.sh failed.", message.body["text"])

    def test_many_admins(self) -> None:
        """
        However many others a mail goes to, the submitter is among those who get it.
        """
        admins = [f"a{number}@example.org" for number in range(2 * MOST_RECIPIENTS)]
        notifier = MailNotifier("farm@example.org", extraRecipients=admins)
        body = notifier.compose_for("Alice <alice@example.org>", "s", "t", to_extra=True)
        self.assertEqual(len(body["to"]), MOST_RECIPIENTS)
        self.assertIn("alice@example.org", body["to"])


PIECES = (
    "a",
    " ",
    "\r",
    "\n",
    "\r\n ",
    "Bcc: evil@example.org",
    "=?utf-8?q?=0ABcc:?=",
    ":",
    "<",
    ">",
    "@",
    ",",
    '"',
    "\\",
)
TEXTS = st.lists(st.sampled_from((*PIECES, "ann@example.org", "\0", "\u2028", "\ud800", "é")), max_size=8).map("".join)


class HeadersTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(TEXTS, TEXTS, TEXTS)
    def test_any_names(self, name: str, version: str, submitter: str) -> None:
        """
        Promise 9.8: whatever a package, its version and its submitter are called, a mail has its own headers alone, and
        goes to one address at most.
        """
        notifier = MailNotifier("farm@example.org", name="mail", generators=[])
        body = notifier.compose_for(submitter, f"{name} {version}: failed", f"{name}\n{version}\n")
        if body is None:
            return
        stored = OutboxMessage(1, "mail", "package-job-1-1", "job 1", body, 0.0, 0, 0.0, "")
        mail = email.message_from_bytes(
            notifier._mail(stored, "me").as_bytes(policy=policy.SMTP), policy=policy.default
        )
        headers = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
        content = ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
        self.assertEqual(sorted(mail.keys()), sorted(headers + content))
        self.assertEqual((mail["From"], [mail["To"]]), ("farm@example.org", body["to"]))
        self.assertEqual(len(body["to"]), 1)


class LinksTests(MailCase):
    """
    A farm whose pages have an address.
    """

    def configuration(self) -> str:
        return super().configuration() + 'c["buildbotURL"] = "https://farm.example.org/"\n'

    def test_pages(self) -> None:
        """
        Promise 9.8: the mail has the address of each build's page, and no string.
        """
        self.submit_as("ann@example.org")
        (message,) = self.messages()
        text = message.body["text"]
        self.assertIn("\nTo see more: buildbot-lite package show 1\n", text)
        for page in ("bookworm-amd64/1", "bookworm-i386/1"):
            self.assertIn(f"\nhttps://farm.example.org/builders/{page}\n", text)
        self.assertNotIn("pb://", text)
