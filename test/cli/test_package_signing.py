"""
``buildbot-lite package sign`` and ``package push``.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from unittest import mock

from buildbot_lite.cli.program import FAILED, USAGE
from buildbot_lite.errors import InputError, NoAnswerError, RevokedError
from buildbot_lite.packages.keys.openpgp import BINARY, RSA, Signature

from .command_line_case import FURL, CommandLineCase

REPOMD = b'<?xml version="1.0"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo"/>\n'
KEY = ("--key", "1234ABCD")
STRING = ("--furlfile", "sign.furl")


def wanted(name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """
    A signature that the farm wants.
    """
    digest = hashlib.sha256(data).hexdigest()
    return {
        "id": f"{digest}-bytes",
        "name": name,
        "size": len(data),
        "sha256": digest,
        "length": len(data),
        "text": False,
        **more,
    }


def waiting(job: int, *, submitter: str = "alice", arches: tuple[str, ...] = ("x86_64",)) -> dict[str, Any]:
    """
    A job of Debian's kind, of which nothing but the index is signed.
    """
    return {
        "job": job,
        "package": "hello",
        "version": "2.10-3",
        "submitter": submitter,
        "arches": list(arches),
        "size": 34_000,
        "files": [],
    }


class PackageSigningTests(CommandLineCase):
    """
    The commands of a signer.
    """

    def setUp(self) -> None:
        """
        A string, a gpg that signs everything, and a farm with a job.
        """
        super().setUp()
        self.answers: dict[str, Any] = {}
        self.master.answers = self.answers
        self.write("sign.furl", f"{FURL}\n")
        self.signed: list[bytes] = []

        def sign(gnupg: Any, data: bytes, *, text: bool) -> Signature:
            self.signed.append(data)
            return Signature(BINARY, RSA, "SHA256", b"signature")

        for name, fake in (("sign", sign), ("check", lambda gnupg: None)):
            patch = mock.patch(f"buildbot_lite.cli.packages.signing.Gnupg.{name}", fake)
            patch.start()
            self.addCleanup(patch.stop)
        self.offer(waiting(3))
        index = {**wanted("repomd.xml", REPOMD), "contents": b64encode(REPOMD).decode()}
        self.answers["sign-give"] = {"taken": 0}
        self.answers["sign-prepare"] = {"files": [index]}
        self.answers["sign-finish"] = {"jobs": [3], "pushed": False}

    def offer(self, *jobs: Mapping[str, Any], auto: bool = False) -> None:
        self.answers["sign-offer"] = {"target": "f4", "auto": auto, "jobs": list(jobs)}

    def test_signs(self) -> None:
        """
        Promise 9.7: a signer sees job, package, files and digests, is asked, and is told how few bytes went out.
        """
        said = self.command("package", "sign", "3", *KEY, *STRING, stdin=b"y\n")
        self.assertEqual(said.code, 0, said.err)
        self.assertIn("job 3 for f4: hello 2.10-3 (x86_64), from alice\n", said.err)
        self.assertIn("Sign this with the key 1234ABCD? [y/N]", said.err)
        self.assertIn(f"repomd.xml, {len(REPOMD)} bytes, sha256 {hashlib.sha256(REPOMD).hexdigest()}", said.err)
        self.assertIn(f"# {len(REPOMD)} of {34_000 + len(REPOMD):,} bytes went out\n", said.err)
        self.assertIn("signed: job 3.  Publish: buildbot-lite package push 3 --furlfile FILE\n", said.err)
        self.assertEqual(self.signed, [REPOMD])

    def test_no_key(self) -> None:
        """
        A key that gpg does not have is refused before anything is asked, of the master or of the signer.
        """
        missing = InputError("gpg has no secret key '1234ABCD' here.")
        with mock.patch("buildbot_lite.cli.packages.signing.Gnupg.check", side_effect=missing):
            for words in (("3",), ("--watch",)):
                said = self.command("package", "sign", *words, *KEY, *STRING)
                self.assertEqual((said.code, said.err), (FAILED, f"{missing}\n"))
        self.assertEqual(self.master.questions, [])

    def test_signed_before(self) -> None:
        """
        Of a job whose signatures are all there, no signature is claimed.
        """
        self.answers["sign-prepare"] = {"files": []}
        said = self.command("package", "sign", "3", *KEY, *STRING, "--yes")
        self.assertEqual(said.code, 0, said.err)
        publish = "Publish: buildbot-lite package push 3 --furlfile FILE\n"
        self.assertIn(f"nothing is left to sign: job 3 had all signatures before.  {publish}", said.err)
        self.assertNotIn("went out", said.err)
        self.assertEqual(self.signed, [])

    def test_shows_packages(self) -> None:
        """
        Promise 9.7: what is signed through an index alone, and what was submitted, is shown before the question.
        """
        package = {"name": "hello_2.10-3_amd64.deb", "architecture": "amd64", "size": 34_000, "sha256": "5" * 64}
        source = {"name": "hello.tar", "size": 757_760, "sha256": "6" * 64}
        self.offer({**waiting(3), "packages": [package], "source": source})
        said = self.command("package", "sign", "3", *KEY, *STRING, stdin=b"n\n")
        before = said.err.partition("Sign this")[0]
        self.assertIn(f"  submitted: hello.tar, 757,760 bytes, sha256 {'6' * 64}\n", before)
        self.assertIn(f"  hello_2.10-3_amd64.deb, 34,000 bytes, sha256 {'5' * 64}\n", before)

    def test_shows_commit(self) -> None:
        """
        Promise 9.7: of a source package that the farm made, the signer sees the commit and its repository, in the offer
        and again before the question.
        """
        origin = {"repository": "https://git.example.org/hello.git", "revision": "v2.10", "commit": "01ab" * 10}
        source = {"name": "source.tar", "size": 757_760, "sha256": "6" * 64}
        self.offer({**waiting(3), "source": source, "origin": origin}, {**waiting(4), "source": source, "origin": None})
        said = self.command("package", "sign", "3", *KEY, *STRING, stdin=b"n\n")
        made_from = f"made from https://git.example.org/hello.git at v2.10, commit {'01ab' * 10}"
        self.assertIn(f"  made: source.tar, 757,760 bytes, sha256 {'6' * 64}\n  {made_from}\n", said.err)
        self.assertIn(f"The source of job 3 was {made_from}.\nSign this with the key", said.err)
        self.assertEqual(said.err.count("made from"), 2)
        self.assertIn("  submitted: source.tar", said.err)

    def test_json(self) -> None:
        """
        Promise 9.7: as JSON, a signer sees what waits without a key, and signs nothing.
        """
        said = self.command("package", "sign", "--all", "--json", *STRING)
        self.assertEqual((said.code, said.err), (0, ""))
        self.assertEqual(json.loads(said.out), [waiting(3)])
        self.assertEqual([each["ask"] for each in self.master.questions], ["sign-offer"])

    def test_admin(self) -> None:
        """
        In a master's directory the admin's string is used: each question names the target, which is that of the jobs,
        or of --target.
        """
        self.make_farm()
        for words, first in ((("farm", "3"), {"jobs": ["3"]}), (("farm", "--all", "--target", "f4"), {"target": "f4"})):
            self.master.questions.clear()
            self.assertEqual(self.command("package", "sign", *words, "--yes", *KEY).code, 0)
            self.assertEqual(self.master.questions[0], {"ask": "sign-offer", **first})
            self.assertEqual({each["target"] for each in self.master.questions[1:]}, {"f4"})
        self.answers["push"] = {"target": "f4", "jobs": [3]}
        self.assertEqual(self.command("-C", "farm", "package", "push", "3").code, 0)
        self.assertEqual(self.master.questions[-1], {"ask": "push", "jobs": ["3"]})
        # A number is no directory.
        for words in (("push", "3"), ("sign", "3", *KEY)):
            self.assertIn("it has no master.cfg", self.refused("package", *words))

    def test_disagrees(self) -> None:
        """
        Promise 9.7: without a yes nothing is signed, and the exit code is 1.
        """
        said = self.command("package", "sign", "3", *KEY, *STRING, stdin=b"n\n")
        self.assertEqual((said.code, self.signed), (1, []))
        self.assertIn("Nothing was signed.\n", said.err)

    def test_nothing(self) -> None:
        """
        When nothing waits, nothing is asked.
        """
        self.offer()
        said = self.command("package", "sign", "--all", *KEY, *STRING)
        self.assertEqual((said.code, said.err), (0, "No job of f4 waits for a signature.\n"))

    def test_usage(self) -> None:
        """
        Jobs, or all, or a watch; a string and a key are needed.
        """
        for words in (
            (*KEY, *STRING),
            ("3", "--all", *KEY, *STRING),
            ("3", "--watch", *KEY, *STRING),
            ("3", "--rule", "arch=x86_64", *KEY, *STRING),
            ("--watch", "--rule", "color=red", *KEY, *STRING),
            ("--watch", "--rule", "arch=", *KEY, *STRING),
            ("--watch", "--json", *STRING),
            ("3", "--json", "--yes", *STRING),
            ("three", *KEY, *STRING),
            ("3", *STRING),
        ):
            self.refused("package", "sign", *words, code=USAGE)
        self.refused("package", "push", *STRING, code=USAGE)
        self.refused("package", "push", "3", "--all", *STRING, code=USAGE)
        self.assertIn("names no key", self.refused("package", "sign", "3", "--key=-u", *STRING, code=FAILED))

    def test_push(self) -> None:
        """
        Promise 9.7: a push says which jobs are to be published, and where to see when they are, or that there is
        nothing to do.
        """
        self.answers["push"] = {"target": "f4", "jobs": [3, 4]}
        said = self.command("package", "push", "3", *STRING)
        self.assertEqual((said.code, said.out), (0, "to be published: job 3, job 4\n"))
        self.assertIn("(that for pushing shows none): buildbot-lite package show JOB --furlfile FILE\n", said.err)
        self.assertEqual(self.master.questions[-1], {"ask": "push", "jobs": ["3"]})
        self.answers["push"] = {"target": "f4", "jobs": []}
        said = self.command("package", "push", "--all", *STRING)
        self.assertEqual((said.code, said.out), (0, "There is nothing to push: it is public already.\n"))
        self.assertEqual(self.master.questions[-1], {"ask": "push"})

    def watch(self, *words: str, rounds: int = 1) -> Any:
        """
        Watch until the farm has been asked *rounds* times, and revokes the string then.
        """
        left = [rounds]

        async def pause(link: Any, seconds: float) -> None:
            left[0] -= 1
            if not left[0]:
                self.answers["sign-offer"] = RevokedError()

        with mock.patch("test.cli.command_line_case.FakeMaster.pause", pause):
            return self.command("package", "sign", "--watch", *words, *KEY, *STRING)

    def test_watch(self) -> None:
        """
        Promise 9.7: a watch signs the jobs that fit a rule, of an automatic target, until its string is revoked.
        """
        self.offer(
            waiting(3), waiting(4, submitter="bob"), waiting(5, arches=("x86_64", "i686")), waiting(6), auto=True
        )
        self.answers["sign-finish"] = {"jobs": [3, 6], "pushed": True}
        said = self.watch("--rule", "submitter=alice,arch=x86_64")
        self.assertIn("signed, to be published: job 3, job 6\n", said.err)
        self.assertEqual(said.code, FAILED)
        prepared = [each["jobs"] for each in self.master.questions if each["ask"] == "sign-prepare"]
        self.assertEqual(prepared, [["3", "6"]])

    def test_watch_obstacles(self) -> None:
        """
        Promise 9.7: a watch goes on after an obstacle, which it tells once; a target that people sign is refused.
        """
        self.answers["sign-offer"] = NoAnswerError("No master answers.")
        said = self.watch(rounds=3)
        self.assertEqual(said.err.count("No master answers."), 1)
        self.offer(waiting(3))
        said = self.watch()
        self.assertIn('f4 does not have sign="auto"', said.err)
        self.assertEqual(self.signed, [])
        self.offer(waiting(3), auto=True)
        self.answers["sign-finish"] = InputError("The index changed.")
        self.assertIn("The index changed.\n", self.watch().err)
