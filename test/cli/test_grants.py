"""
The commands for grants and leaving slaves.
"""

import json
import os
import resource
import signal
import stat
from errno import ENOSPC
from pathlib import Path
from typing import Any
from unittest import mock

from buildbot_lite.cli.farm import grant
from buildbot_lite.cli.program import FAILED, USAGE
from buildbot_lite.errors import LinkLostError, NotFoundError

from .command_line_case import FURL, CommandLineCase, CommandResult

GRANT: dict[str, Any] = {
    "grant": 7,
    "verb": "submit",
    "name": "go",
    "label": "release script",
    "state": "in force",
    "created": 1.0,
    "used": None,
    "uses": 0,
    "uses_allowed": 5,
    "expires": 2.0,
    "per_hour": None,
    "largest": None,
    "most_waiting": 3,
    "most_priority": None,
    "revoked": None,
    "pinned": False,
    "links": 0,
}


class GrantCommandCase(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm.
        """
        super().setUp()
        self.make_farm()


class GrantTests(GrantCommandCase):
    def test_file(self) -> None:
        """
        With --to, a string of any kind is written to a new file that only its owner can read, whatever the umask, and
        to no terminal.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}}
        self.addCleanup(os.umask, os.umask(0))
        words = {"submit": ("go",), "change": ("https://a.example/",), "jobs": ("f4",), "shell": ("f4",)}
        words |= {"sign": ("f4",), "push": ("f4",)}
        for verb in grant.grant.commands:
            said = self.command("grant", verb, "farm", *words.get(verb, ()), "--to", f"{verb}.furl")
            self.assertEqual((said.code, said.out), (0, ""), said.err)
            self.assertIn(f"; it is in {verb}.furl alone\n", said.err)
            self.assertNotIn("pb://", said.err)
            self.assertEqual(Path(f"{verb}.furl").read_text(), f"{FURL}\n")
            self.assertEqual(stat.S_IMODE(os.stat(f"{verb}.furl").st_mode), 0o600)

    def test_file_exists(self) -> None:
        """
        With --to, a file that is there stays as it is, and no string is made.
        """
        Path("alice.furl").write_text("precious")
        for path in ("alice.furl", "."):
            said = self.command("grant", "submit", "farm", "go", "--to", path)
            self.assertEqual(said.code, FAILED)
            self.assertEqual(said.err, f"{path} exists already.  Give a new file, so that no string is lost.\n")
        self.assertEqual(Path("alice.furl").read_text(), "precious")
        self.assertEqual(self.master.questions, [])

    def test_file_without_string(self) -> None:
        """
        With --to, there is no file when the master makes no string.
        """
        self.master.answers = {"grant": NotFoundError("There is no builder 'go'.")}
        self.assertEqual(self.command("grant", "submit", "farm", "go", "--to", "alice.furl").code, FAILED)
        self.assertFalse(os.path.lexists("alice.furl"))

    def on_a_full_disk(self) -> CommandResult:
        """
        What `grant --to` says when the disk takes no byte.
        """
        before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            said = self.command("grant", "submit", "farm", "go", "--to", "alice.furl")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(said.code, FAILED)
        self.assertFalse(os.path.lexists("alice.furl"))
        return said

    def test_full_disk(self) -> None:
        """
        With --to, a string that the disk does not take is revoked, because nobody has it, and there is no file.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}, "revoke": {"grant": GRANT, "ended": []}}
        self.assertRegex(self.on_a_full_disk().err, r"# string #7 could not be written, and is revoked\n.*alice.furl")
        self.assertEqual(self.master.questions[1:], [{"ask": "revoke", "which": "#7", "kill": False, "cancel": False}])

    def test_full_disk_and_no_master(self) -> None:
        """
        A string that could be neither written nor revoked is named, with the command that revokes it.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}, "revoke": LinkLostError()}
        said = self.on_a_full_disk().err
        self.assertRegex(said, r"# string #7 is lost; to revoke it: buildbot-lite revoke farm '#7'\n.*alice.furl")

    def test_full_standard_error(self) -> None:
        """
        So is a string that is not given because what is said of it cannot be written.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}, "revoke": {"grant": GRANT, "ended": []}}
        for where in ((), ("--to", "alice.furl")):
            self.master.questions.clear()
            with mock.patch.object(grant, "note", side_effect=OSError(ENOSPC, "No space left on device")):
                said = self.command("grant", "submit", "farm", "go", *where)
            self.assertEqual((said.code, said.out), (FAILED, ""))
            self.assertEqual([each["ask"] for each in self.master.questions], ["grant", "revoke"])
        self.assertFalse(os.path.lexists("alice.furl"))

    def test_no_file_for_a_browser(self) -> None:
        """
        The address of --web is for a browser, not for a file.
        """
        said = self.command("grant", "control", "farm", "--web", "--to", "alice.furl")
        self.assertEqual(said.code, USAGE)
        self.assertIn("leave --to out", said.err)

    def test_furl_alone_on_stdout(self) -> None:
        """
        Promise 17: `grant` prints only the FURL on standard output; its description goes to standard error.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}}
        said = self.command(
            *("grant", "submit", "farm", "go", "--uses", "5", "--expires", "7d", "--label", "release script"),
            *("--largest", "1.5k", "--per-hour", "2", "--waiting", "3"),
        )

        self.assertEqual((said.code, said.out), (0, f"{FURL}\n"))
        self.assertEqual(said.err, "# string #7 (submit to go, 'release script'); shown only this once\n")
        self.assertEqual(
            self.master.questions,
            [
                {
                    "ask": "grant", "to": "submit", "object": "go", "lasts": 604800.0, "uses": 5, "per_hour": 2,
                    "largest": 1536, "most_waiting": 3, "label": "release script",
                }
            ],
        )  # fmt: skip

    def test_for_web_process(self) -> None:
        """
        A string for a web process elsewhere is asked for with the label that masters of earlier versions know it by.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}}
        self.assertEqual(self.command("grant", "watch", "farm", "--web").out, f"{FURL}\n")
        self.assertEqual(
            self.master.questions,
            [{"ask": "grant", "to": "watch", "object": "", "web": True, "label": "web pages"}],
        )

    def test_watch_a_build(self) -> None:
        """
        `grant watch` takes a request by its number, or by its build, as BUILDER/NUMBER.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}, "build": {"build": {"request": 41}}}
        self.assertEqual(self.command("grant", "watch", "farm", "go/7").out, f"{FURL}\n")
        self.assertEqual(self.command("grant", "watch", "farm", "8").out, f"{FURL}\n")
        self.assertEqual(self.master.questions[0], {"ask": "build", "builder": "go", "number": 7})
        self.assertEqual([each["object"] for each in self.master.questions[1:]], ["41", "8"])

    def test_limit_that_the_master_does_not_know(self) -> None:
        """
        A string without the limit that was asked for, from a master of an earlier version, is revoked and not printed.
        """
        earlier = {name: value for name, value in GRANT.items() if name != "most_priority"}
        self.master.answers = {
            "grant": {"grant": earlier, "furl": FURL},
            "revoke": {"grant": earlier, "ended": []},
        }
        sentence = self.refused("grant", "submit", "farm", "go", "--priority", "0")
        self.assertIn("The master is too old for --priority: its string would not have that limit, so it", sentence)
        self.assertEqual([each["ask"] for each in self.master.questions], ["grant", "revoke"])
        self.assertEqual(self.master.questions[1]["which"], "#7")
        self.assertEqual(self.command("grant", "submit", "farm", "go").out, f"{FURL}\n")

    def test_other_verbs(self) -> None:
        """
        `grant` makes grants to watch, control and administer.
        """
        self.master.answers = {"grant": {"grant": GRANT, "furl": FURL}}
        for words in (("watch", "farm"), ("control", "farm", "--expires", "90m"), ("admin", "farm")):
            self.assertEqual(self.command("grant", *words).out, f"{FURL}\n")

        self.assertEqual([each["to"] for each in self.master.questions], ["watch", "control", "admin"])
        self.assertEqual(self.master.questions[1]["lasts"], 5400.0)

    def test_purpose(self) -> None:
        """
        The remark beside a new string names what it is for.
        """
        for verb, name, purpose in (
            ("submit", "go", "submit to go, 'x'"),
            ("change", "https://x/y.git main", "changes of https://x/y.git main, 'x'"),
            ("change", "webhooks", "webhooks, 'x'"),
        ):
            given = {**GRANT, "verb": verb, "name": name, "label": "x"}
            self.master.answers = {"grant": {"grant": given, "furl": FURL}}
            self.assertEqual(
                self.command("grant", "watch", "farm").err, f"# string #7 ({purpose}); shown only this once\n"
            )

    def test_wrong_limits(self) -> None:
        """
        An invalid time, size or number is refused with a sentence.
        """
        for words in (("--expires", "soon"), ("--expires", "0d"), ("--largest", "10x"), ("--uses", "0")):
            sentence = self.refused("grant", "submit", "farm", "go", *words, code=64)
            self.assertIn(words[1], sentence)
        self.assertEqual(self.master.questions, [])

    def test_listed(self) -> None:
        """
        Promise 17: `grants` prints a table, or JSON with --json.
        """
        self.master.answers = {"grants": {"grants": [GRANT]}}
        table = self.command("grants", "farm").out

        self.assertRegex(table, r"#7 +submit +go +release script +\d{4}-")
        self.assertIn("0 of 5 uses", table)
        self.assertEqual(json.loads(self.command("grants", "farm", "--json").out), [GRANT])

    def test_states(self) -> None:
        """
        `grants` shows the states of strings if one of them is not in force.
        """
        self.master.answers = {"grants": {"grants": [GRANT, {**GRANT, "grant": 8, "state": "revoked"}]}}
        table = self.command("grants", "farm", "--all").out

        self.assertRegex(table, r"#7 .* in force ")
        self.assertRegex(table, r"#8 .* revoked ")

    def test_control_characters(self) -> None:
        """
        What is told of a string has no control characters, whatever was written into it.
        """
        self.master.answers = {"grant": {"grant": {**GRANT, "name": "a\x1b[31mb"}, "furl": FURL}}
        said = self.command("grant", "submit", "farm", "go")

        self.assertIn("(submit to a?[31mb, ", said.err)
        self.assertEqual(said.out, f"{FURL}\n")


class RevokeTests(GrantCommandCase):
    def test_slave(self) -> None:
        """
        Promise 17: `revoke` says what was revoked and what happens to the builds; without --kill, it warns about
        parallel attempts.
        """
        self.master.answers = {"revoke": {"grant": {**GRANT, "verb": "slave", "label": None}, "ended": ["b/1"]}}
        said = self.command("revoke", "farm", "go")

        self.assertEqual(said.out, "Revoked string #7 (slave go).\nb/1 is tried again.\n")
        self.assertIn("two attempts of a build may run at the same time", said.err)
        self.assertEqual(self.command("revoke", "farm", "go", "--kill", "--cancel").err, "")
        self.assertEqual(self.master.questions[1], {"ask": "revoke", "which": "go", "kill": True, "cancel": True})

    def test_web_session(self) -> None:
        """
        Promise 10.7: `grant control --web` prints an address with a code, and no string.
        """
        self.master.answers = {
            "web-code": {"code": "abc", "address": "https://f.example/ci/", "valid": 600.0, "lasts": 43200.0}
        }
        said = self.command("grant", "control", "farm", "--web", "--label", "for Ann")
        self.assertEqual(said.out, "https://f.example/ci/enter?code=abc\n")
        self.assertIn("within 10 minutes; the session ends after 12 h", said.err)
        self.assertEqual(self.master.questions[-1], {"ask": "web-code", "label": "for Ann"})

    def test_rotate(self) -> None:
        """
        Promise 17: `rotate` says where the new FURL is, and does not print it.
        """
        self.master.answers = {"rotate": {"name": "bot1", "verb": "slave", "ended": []}}
        self.assertIn("buildbot-lite furl farm bot1", self.command("rotate", "farm", "bot1").out)
        self.master.answers = {"rotate": {"name": "admin", "verb": "admin", "ended": []}}
        self.assertIn("private/admin.furl", self.command("rotate", "farm", "admin").out)
        self.master.answers = {"rotate": {"name": "web pages", "verb": "watch", "ended": [], "revoked": [3, 4]}}
        said = self.command("rotate", "farm", "web pages").out
        self.assertIn("web/private", said)
        self.assertIn("other machines: #3, #4.", said)


class LeavingSlaveTests(GrantCommandCase):
    def test_lost(self) -> None:
        """
        Promise 8: `lost` says which builds are retried, and warns if they may still run.
        """
        self.master.answers = {"lost": {"slave": "bot1", "connected": True, "lost": ["b/1"], "grace": 1830.0}}
        said = self.command("lost", "farm", "bot1")

        self.assertEqual(said.out, "b/1 is given up there, and is tried again.\n")
        self.assertIn("for up to 30 min", said.err)
        self.assertIn("bot1 was connected", said.err)
        self.master.answers = {"lost": {"slave": "bot1", "connected": False, "lost": [], "grace": 1830.0}}
        self.assertEqual(self.command("lost", "farm", "bot1").err, "")

    def test_drain(self) -> None:
        """
        `drain` says which builds the slave finishes before it stops.
        """
        self.master.answers = {"drain": {"slave": "bot1", "running": ["b/1"]}}
        self.assertIn("stops when these have ended: b/1.", self.command("drain", "farm", "bot1").out)
