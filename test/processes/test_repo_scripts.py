"""
Programs that run after a repository has changed, in a real master with a real mail server.
"""

import json
from typing import Any

from ..needs import needs
from ..status.mail_server import mail_server
from .farm import until
from .test_packages import PackagesCase

# The first one hangs; later ones fail, like any upload to a server that is down.
SCRIPT = """\
#!/bin/sh
echo $$ >>PLACE/runs
[ "$(wc -l <PLACE/runs)" -gt 1 ] || exec sleep 3000
echo "the server is down" >&2
exit 3
"""


@needs("apt-ftparchive", "dpkg-buildpackage")
class PublishingScriptTests(PackagesCase):
    target = 'DebTarget("t", ["ARCH"], root=Plain(), repository="repos/t", repo_script="push.sh")'

    def test_hangs_and_fails(self) -> None:
        """
        Promise 9.7, 9.9: while a repo_script hangs, its packages are public and another job of the target is built and
        published; a stop of the master ends it, and the next start runs it again.  When it fails, the jobs are finished
        all the same, and they and the mails to their submitters say why.
        """
        mails, server = mail_server()
        self.addCleanup(server.stop)
        place = self.farm.directory
        script = self.farm.master_directory / "push.sh"
        script.write_text(SCRIPT.replace("PLACE", str(place)))
        script.chmod(0o755)
        self.farm.config(
            "from buildbot_lite.plugins import reporters\n"
            "c['services'] = [reporters.MailNotifier('farm@example.org', mode='failing', relayhost='127.0.0.1',"
            f" smtpPort={server.port})]\n"
        )
        self.farm.start()
        words = ["submit", str(self.farm.master_directory), "t", "--label", "Alice <alice@example.org>"]
        string = self.farm.private_furl(self.farm.command("grant", *words).out.decode().strip())

        def submit(name: str) -> None:
            self.source(name=name)
            sent = self.farm.command(
                "package", "build", "--no-wait", "--furlfile", string, str(place / f"{name}_1.0.dsc")
            )
            self.assertEqual(sent.code, 0, sent)

        submit("greet")
        until(lambda: (place / "runs").exists() and (place / "runs").read_text(), "the script runs")
        self.assertEqual(self.shown(1)["state"], "pushed")
        submit("other")
        self.until_job(2, "pushed")
        public = self.farm.master_directory / "repos" / "t" / "public" / "pool"
        self.assertEqual({path.name.partition("_")[0] for path in public.iterdir()}, {"greet", "other"})
        self.farm.master.stop()
        self.farm.run(f"! kill -0 $(cat {place}/runs) 2>/dev/null")
        self.farm.start_master()
        why = "The packages are public, but the repo_script push.sh failed with exit code 3: the server is down."
        for job in (1, 2):
            self.until_job(job, "finished")
            self.assertEqual(self.shown(job)["reason"], why)
        until(lambda: len(mails.mails) == 2, "both mails came")
        for _, mail in mails.mails:
            self.assertEqual(mail["To"], "alice@example.org")
            self.assertIn("the server is down", str(mail.get_payload(decode=True)))

    def shown(self, job: int) -> dict[str, Any]:
        """
        What ``package show`` says about *job*.
        """
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(job), "--json")
        found: dict[str, Any] = json.loads(shown.out)
        return found
