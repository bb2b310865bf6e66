"""
Reporters of a real master, with a real mail server.
"""

import contextlib
import socket
from typing import ClassVar

from ..status.mail_server import AnyPortController, ReceivedMails, mail_server
from .farm import PATIENCE, Farm, until
from .farm_case import FarmCase


class ReportersTests(FarmCase):
    """
    A farm that mails about failures.
    """

    mails: ClassVar[ReceivedMails]
    server: ClassVar[AnyPortController]
    silent: ClassVar[socket.socket]

    @classmethod
    def make(cls) -> Farm:
        """
        One builder that fails, a mail server, and one that says nothing.
        """
        cls.mails, cls.server = mail_server()
        cls.addClassCleanup(cls.server.stop)
        cls.silent = socket.create_server(("127.0.0.1", 0))
        cls.addClassCleanup(cls.silent.close)
        cls.silent.settimeout(PATIENCE)
        farm = Farm("bot1")
        farm.builder("bad", "echo why; exit 1")
        farm.builder("worse", "exit 1")
        farm.config(
            "from buildbot_lite.plugins import reporters\n"
            "c['services'] = [reporters.MailNotifier('farm@example.org', mode='failing', relayhost='127.0.0.1',"
            f" smtpPort={cls.server.port}, extraRecipients=['team@example.org'], builders=['bad']),"
            " reporters.MailNotifier('farm@example.org', name='silent', mode='failing', builders=['worse'],"
            f" relayhost='127.0.0.1', useSmtps=True, smtpPort={cls.silent.getsockname()[1]},"
            " extraRecipients=['team@example.org'])]\n"
            # Longer than any test waits.
            "import sys\n"
            "sys.modules['buildbot_lite.status.reporters.smtp'].TIMEOUT = 3600.0\n"
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

    def test_stop_during_a_handshake(self) -> None:
        """
        Promise 8.8: the master stops while a mail server hangs in the TLS handshake, and the mail is sent later.
        """
        farm = self.farm
        self.assertEqual(farm.submit("worse").code, 1)
        with contextlib.closing(self.silent.accept()[0]) as connection:
            connection.settimeout(PATIENCE)
            self.assertEqual(connection.recv(1), b"\x16")  # RFC 8446, section 5.1: a handshake
            farm.master.stop()
        self.addCleanup(farm.start_master)

        self.assertTrue(farm.rows("select * from outbox where reporter like '%silent%'"))
