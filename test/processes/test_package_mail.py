"""
Mail about packages, while the mail server is away, hangs, and takes mail again.
"""

import socket

from ..needs import needs
from ..ports import free_port
from ..status.mail_server import AnyPortController, ReceivedMails
from .farm import until
from .test_packages import PackagesCase

LINES = "for i in 1 2 3 4 5 6 7 8 9; do for j in 0 1 2 3 4 5 6 7 8 9; do echo line $$i$$j; done; done; false"


@needs("dpkg-buildpackage")
class PackageMailTests(PackagesCase):
    target = 'DebTarget("t", ["ARCH"], root=Plain())'

    def test_server_away(self) -> None:
        """
        Promise 9.8: while the mail server is away or does not answer, packages are built and the master stops and
        starts; afterwards each submitter gets each mail once, with the result, the last lines of build.log, and the
        command that shows more.
        """
        port = free_port()
        self.farm.config(
            "from buildbot_lite.plugins import reporters\n"
            "c['services'] = [reporters.MailNotifier('farm@example.org', mode='failing', relayhost='127.0.0.1',"
            f" smtpPort={port})]\n"
        )
        self.farm.start()
        words = ["submit", str(self.farm.master_directory), "t", "--label", "Alice <alice@example.org>"]
        self.string = self.farm.private_furl(self.farm.command("grant", *words).out.decode().strip())
        self._submit("away", LINES, "failed")
        until(lambda: "Connection refused" in self._status(), "status says that the mail server is away")
        self.farm.master.stop()

        with socket.create_server(("127.0.0.1", port)) as hanging:
            hanging.settimeout(120)
            self.farm.start_master()
            connection, _ = hanging.accept()
            with connection:
                self._submit("hung", "true", "finished")
                self.farm.master.stop()
        received = ReceivedMails()
        server = AnyPortController(received, hostname="127.0.0.1", port=port)
        server.start()
        self.addCleanup(server.stop)
        self.farm.start_master()
        until(lambda: len(received.mails) >= 2, "the mails came")
        self._submit("well", "true", "finished")
        until(lambda: len(received.mails) >= 3, "the last mail came")
        # A message stays recorded until it was sent, so after this none comes a second time.
        until(lambda: self.farm.rows("select count(*) from outbox") == [(0,)], "nothing is left to be sent")
        subjects = [f"{mail['Subject']}" for _, mail in received.mails]
        self.assertEqual(
            sorted(subjects),
            [
                f"{name} 1.0 for t: {state} (job {job})"
                for name, state, job in (("away", "failed", 1), ("hung", "finished", 2), ("well", "finished", 3))
            ],
        )
        text = str(next(mail for _, mail in received.mails if "away" in mail["Subject"]).get_payload(decode=True))
        for part in (f"The last lines of build.log for {self.arch}:", "line 99", "buildbot-lite package show 1"):
            self.assertIn(part, text)
        self.assertNotIn("line 10", text)

    def _submit(self, name: str, script: str, state: str) -> None:
        """
        Build the package *name*, which ends in *state*.
        """
        self.source(script, name=name)
        words = ["--no-wait", "--furlfile", self.string, str(self.farm.directory / f"{name}_1.0.dsc")]
        sent = self.farm.command("package", "build", *words)
        self.assertEqual(sent.code, 0, sent)
        rows = "select state from package_jobs where name = ?"
        until(lambda: self.farm.rows(rows, name) == [(state,)], f"{name} is {state}")

    def _status(self) -> str:
        return self.farm.command("status", str(self.farm.master_directory)).out.decode()
