"""
Reporters of a real master, with a real mail server.
"""

from typing import ClassVar

from ..status.mail_server import AnyPortController, ReceivedMails, mail_server
from .farm import Farm, until
from .farm_case import FarmCase


class ReportersTests(FarmCase):
    """
    A farm that mails about failures.
    """

    mails: ClassVar[ReceivedMails]
    server: ClassVar[AnyPortController]

    @classmethod
    def make(cls) -> Farm:
        """
        One builder that fails, and a mail server.
        """
        cls.mails, cls.server = mail_server()
        cls.addClassCleanup(cls.server.stop)
        farm = Farm("bot1")
        farm.builder("bad", "echo why; exit 1")
        farm.config(
            "from buildbot_lite.plugins import reporters\n"
            "c['services'] = [reporters.MailNotifier('farm@example.org', mode='failing', relayhost='127.0.0.1',"
            f" smtpPort={cls.server.port}, extraRecipients=['team@example.org'])]\n"
        )
        return farm

    def test_none_lost(self) -> None:
        """
        Promise 8.8: each failed build is mailed once, also one whose mail could not be sent before the master was
        killed.
        """
        farm = self.farm
        self.assertEqual(farm.submit("bad").code, 1)
        until(lambda: len(self.mails.mails) == 1, "the mail of the first build came")
        self.mails.refusal = "451 later"
        self.assertEqual(farm.submit("bad").code, 1)
        until(
            lambda: b"451" in farm.command("status", str(farm.master_directory)).out,
            "status says what the mail server said",
        )
        farm.master.kill()
        self.mails.refusal = None
        farm.master.start()
        until(lambda: len(self.mails.mails) == 2, "the mail of the second build came")

        for number, (_, mail) in enumerate(self.mails.mails, 1):
            text = str(mail.get_payload())
            self.assertIn(f"bad/{number}", text)
            self.assertIn("The last lines of shell:\r\n\r\nwhy", text)
        self.assertEqual(len({mail["Message-ID"] for _, mail in self.mails.mails}), 2)
