"""
``buildbot-lite package build``.
"""

import io
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

from buildbot_lite.cli.packages import chain
from buildbot_lite.errors import (
    InputError,
    LinkLostError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    RevokedError,
    WrongVerbError,
)
from test.packages.archives import TINY_SRPM, archive, greet

from .command_line_case import FURL, CommandLineCase, CommandResult

UNUSABLE, USAGE, FAILED = 2, 64, 70


class OutcomeMaster:
    """
    Gives *answers* one after the other, over one lasting link; an answer that is an exception is raised.
    """

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.pauses: list[float] = []

    def lasting(self, on_away: Callable[[], None] | None = None) -> Any:
        self.connections += 1
        return self

    async def stop(self) -> None:
        self.connections -= 1

    async def ask(self, question: Mapping[str, Any]) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class PackageBuildTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm with the target bookworm, and a source package.
        """
        super().setUp()
        self.make_farm()
        self.write("farm/furls/bookworm.furl", f"{FURL}-bookworm\n")
        os.mkdir("src")
        for name, data in greet(Architecture="any all").items():
            with open(os.path.join("src", name), "wb") as file:
                file.write(data)
        self.master.answers = {
            "submit_file": {
                "requests": [7, 8],
                "builders": ["bookworm-amd64", "bookworm-all"],
                "watch": f"{FURL}-watch",
                "skipped": {"i386": "the package is for amd64 only"},
            },
            "watch": {7: {"exit_code": 0}, 8: {"exit_code": 1}},
        }

    def test_built(self) -> None:
        """
        Promise 9.1: the files that a .dsc lists are sent with it, all builds are followed, and the exit code is that of
        the worst; what is left out is told.
        """
        self.master.chunks = [b"1log\n"]
        built = self.command("package", "build", "farm", "bookworm", "src/greet_1.0.dsc")
        self.assertEqual(built.code, 1, built)
        (sent,) = self.master.submitted_files
        with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
            self.assertEqual(tar.getnames(), ["greet_1.0.dsc", "greet_1.0.tar.xz"])
        self.assertIn("# greet 1.0: ", built.err)
        self.assertIn("# bookworm-amd64 (request 7), bookworm-all (request 8): watch with", built.err)
        self.assertIn("# not built for i386: the package is for amd64 only\n", built.err)
        self.assertEqual(sorted(self.master.output), [b"1bookworm-all   | log\n", b"1bookworm-amd64 | log\n"])

    def test_refused_packages(self) -> None:
        """
        Promise 9.1: packages that the master refuses after all builds were good fail the command, with the reason; if
        the master cannot go on, the reason is told, and the builds were good.
        """
        for states, code, said in (
            (
                [("building", ""), ("repowait", ""), ("failed", "evil_1.0.deb is of evil.")],
                1,
                "5 failed: evil_1.0.deb is",
            ),
            ([("repowait", "The disk is full.")], 0, "# job 5 waits: The disk is full.\n"),
            ([("building", ""), ("finished", "")], 0, ""),
        ):
            job: dict[str, Any] = {"job": 5}
            left = iter(states)

            async def pause(master: object, seconds: float, job: Any = job, left: Any = left) -> None:
                job["state"], job["reason"] = next(left)

            job["state"], job["reason"] = next(left)
            self.master.answers = {
                **self.master.answers,
                "watch": {7: {"exit_code": 0}, 8: {"exit_code": 0}},
                "package-show": {"job": job},
            }
            with mock.patch.object(type(self.master), "pause", pause):
                built = self.command("package", "build", "farm", "bookworm", "src/greet_1.0.dsc")
            self.assertEqual(built.code, code, built)
            self.assertIn(said, built.err)
            self.assertEqual(list(left), [])

    def test_unknown_outcome(self) -> None:
        """
        Promise 9.1: after good builds, the check of the packages is followed over a restart of the master; when the
        master cannot be asked, the command says so, and the exit code is that of the builds.
        """
        lost, away, revoked = LinkLostError(), NoAnswerError("No master answers."), RevokedError("Revoked.")
        refused = {"job": {"job": 5, "state": "failed", "reason": "evil."}}
        building = {"job": {"job": 5, "state": "building", "reason": ""}}
        for answers, code, said in (
            ([building, lost, lost, building, refused], 1, "# job 5 failed: evil."),
            ([away], 0, "takes what was built: No master answers."),
            ([building, lost, revoked], 0, "takes what was built: Revoked."),
            ([NotFoundError("There is no job 0.")], 0, "so no repository takes what was built.  (A Submit"),
        ):
            outcome = OutcomeMaster(answers)
            built = self.built(outcome)
            self.assertEqual((built.code, outcome.answers), (code, []), built)
            self.assertIn(said, built.err)

    def test_looks_at_the_outcome(self) -> None:
        """
        Promise 9.1: one connection asks whether the packages are checked, less and less often, for ten minutes.
        """
        outcome = OutcomeMaster([{"job": {"job": 5, "state": "building", "reason": ""}}] * 100)
        built = self.built(outcome)
        self.assertEqual(built.code, 0, built)
        self.assertIn("# job 5 is still being checked; to see it: buildbot-lite package show farm 5", built.err)
        self.assertEqual(outcome.pauses[:6], [0.5, 1.0, 2.0, 4.0, 8.0, 10.0])
        self.assertTrue(600 <= sum(outcome.pauses) < 620, outcome.pauses)

    def built(self, outcome: "OutcomeMaster") -> CommandResult:
        """
        The result of a package build that is good; *outcome* tells what the master does with it.
        """
        self.master.answers = {**self.master.answers, "watch": {7: {"exit_code": 0}, 8: {"exit_code": 0}}}
        with (
            mock.patch.object(type(self.master), "lasting", outcome.lasting),
            mock.patch.object(type(self.master), "pause", outcome.pause),
        ):
            built = self.command("package", "build", "farm", "bookworm", "src/greet_1.0.dsc")
        self.assertEqual(outcome.connections, 0)
        return built

    def test_revision(self) -> None:
        """
        Promise 9.1: with --revision, the name and the revision are sent; the build of the source is followed, and then
        those of its packages, with the exit code of the worst.
        """
        arch = {"reason": "", "request": None, "builder": ""}
        job: dict[str, Any] = {
            "job": 3,
            "name": "greet",
            "version": "1.0",
            "state": "building",
            "reason": "",
            "origin": {"commit": "0123"},
            "arches": [
                {**arch, "architecture": "source", "state": "done", "request": 7, "builder": "bookworm-source"},
                {**arch, "architecture": "amd64", "state": "waiting", "request": 8, "builder": "bookworm-amd64"},
                {**arch, "architecture": "i386", "state": "skipped", "reason": "not for i386"},
            ],
        }
        self.master.answers = {
            **self.master.answers,
            "submit_file": {"requests": [7], "builders": ["bookworm-source"], "watch": f"{FURL}-watch", "skipped": {}},
            "package-show": {"job": job},
        }
        built = self.command("package", "build", "farm", "bookworm", "greet", "--revision", "v1.0")
        self.assertEqual(built.code, 1, built)
        self.assertEqual(self.master.submitted_files, [b"package=greet\nrevision=v1.0\n"])
        self.assertIn("# greet 1.0, of commit 0123\n# not built for i386: not for i386\n", built.err)
        job.update(state="failed", reason="greet is for riscv64 only", arches=job["arches"][:1])
        failed = self.command("package", "build", "farm", "bookworm", "greet", "--revision", "v1.0")
        self.assertIn("Job 3 is failed: greet is for riscv64 only", failed.err)
        job.update(state="prep", reason="the disk is full.")
        ends = iter([{}, {"state": "failed"}])

        async def pause(master: object, seconds: float) -> None:
            job.update(next(ends))

        with mock.patch.object(type(self.master), "pause", pause):
            waited = self.command("package", "build", "farm", "bookworm", "greet", "--revision", "v1.0")
        self.assertEqual(waited.err.count("# job 3 waits: the disk is full.\n"), 1, waited)
        for words in (("a", "b", "--revision", "v1"), ("greet", "--revision", "-x")):
            self.assertNotEqual(self.command("package", "build", "farm", "bookworm", *words).code, 0)

    def test_tag(self) -> None:
        """
        Promise 9.1: a word that names no file is a tag of the target's only repository, two are a package and its tag;
        what could be a misspelt file is refused with a sentence that names both readings, and nothing is sent.
        """
        self.write("greet", "")
        os.mkdir("debian")
        os.mkdir("hello")
        build = ("package", "build", "farm", "bookworm", "--no-wait")
        for words, sent in (
            (("v1.0",), b"revision=v1.0\n"),
            (("debian/1.0-1",), b"revision=debian/1.0-1\n"),
            (("0123abc",), b"revision=0123abc\n"),
            (("hello", "v1.0"), b"package=hello\nrevision=v1.0\n"),
            (
                ("https://git.example.org/hello.git", "v1"),
                b"repository=https://git.example.org/hello.git\nrevision=v1\n",
            ),
            (("--revision", "greet_1.0.dsc"), b"revision=greet_1.0.dsc\n"),
            (("greet", "--revision", "v1"), b"package=greet\nrevision=v1\n"),
        ):
            self.assertEqual(self.command(*build, *words).code, 0, words)
            self.assertEqual(self.master.submitted_files.pop(), sent)
        tag = "If it is a tag in git, give it with --revision."
        for words, sentence in (
            (("src/greet_1.0.dcs",), f"'src/greet_1.0.dcs' is no file.  Did you mean 'src/greet_1.0.dsc'?  {tag}"),
            (("src/greet_1.0",), f"'src/greet_1.0' is no file.  Did you mean 'src/greet_1.0.dsc'?  {tag}"),
            (("hello.srpm",), f"'hello.srpm' is no file.  {tag}"),
            (("hello", "greet.dcs"), f"'greet.dcs' is no file.  {tag}"),
            (("greet_1.0.dsc",), "greet_1.0.dsc: No such file or directory."),
            (("./v1.0",), "./v1.0: No such file or directory."),
            (("src/greet_1.0.dsc", "v1.0"), "v1.0: No such file or directory."),
            (("v1.0", "v1.1", "v1.2"), "v1.0: No such file or directory."),
        ):
            self.assertEqual(self.refused(*build, *words, code=FAILED), sentence)
        self.assertEqual(self.master.submitted_files, [])
        self.master.answers = {"submit_file": InputError("bookworm takes source packages only.")}
        said = self.refused(*build, "helo", code=UNUSABLE)
        self.assertEqual(
            said, "'helo' is no file, and was taken for a tag in git: bookworm takes source packages only."
        )

    def test_not_followed(self) -> None:
        """
        With --no-wait it ends when the package is queued; an archive and a source RPM are sent as they are.
        """
        self.write("bookworm.furl", f"{FURL}\n")
        for data in (archive(greet()), TINY_SRPM):
            with open("package", "wb") as file:
                file.write(data)
            built = self.command("package", "build", "--furlfile", "bookworm.furl", "--no-wait", "package")
            self.assertEqual((built.code, self.master.submitted_files[-1]), (0, data), built)
        self.assertEqual(self.master.output, [])
        self.assertEqual(self.master.submitted_options, [{}, {}])
        words = ("--scratch", "--priority", "-1", "--furlfile", "bookworm.furl", "--no-wait", "package")
        self.assertEqual(self.command("package", "build", *words).code, 0)
        self.assertEqual(self.master.submitted_options[-1], {"scratch": True, "priority": -1})

    def test_pipe(self) -> None:
        """
        What a pipe contains is sent like a file; a pipe among several files is no file.
        """
        self.write("bookworm.furl", f"{FURL}\n")
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, TINY_SRPM)
        os.close(writing)
        words = ("package", "build", "--furlfile", "bookworm.furl", "--no-wait")
        built = self.command(*words, f"/dev/fd/{reading}")
        self.assertEqual((built.code, self.master.submitted_files), (0, [TINY_SRPM]), built)
        os.mkfifo("src/greet_1.1.dsc")
        for path in ("src/greet_1.1.dsc", "src"):
            refused = self.command(*words, "src/greet_1.0.dsc", path)
            self.assertEqual(refused.code, FAILED, refused)
            self.assertIn(f"{path!r} is no file.", refused.err)

    def test_named_twice(self) -> None:
        """
        A file that is named beside the .dsc that lists it is sent once.
        """
        self.write("bookworm.furl", f"{FURL}\n")
        words = (os.path.abspath("src/greet_1.0.dsc"), "./src/greet_1.0.tar.xz", "src/greet_1.0.dsc")
        built = self.command("package", "build", "--furlfile", "bookworm.furl", "--no-wait", *words)
        self.assertEqual(built.code, 0, built)
        with tarfile.open(fileobj=io.BytesIO(self.master.submitted_files[0])) as tar:
            self.assertEqual(sorted(tar.getnames()), ["greet_1.0.dsc", "greet_1.0.tar.xz"])

    def test_refused(self) -> None:
        """
        Promise 9.1, 6.13: what is wrong with a package is said before anything is sent, with the exit code of a
        submission that cannot be used; a file that cannot be read has that of all other failures.
        """
        with open("src/greet_1.0.tar.xz", "wb") as file:
            file.write(b"other bytes")
        self.write("nonsense", "nonsense")
        self.write("src/no.dsc", "nonsense")
        for code, words, sentence in (
            (UNUSABLE, ("src/greet_1.0.dsc",), "does not have the SHA-256 digest"),
            (UNUSABLE, ("nonsense",), "no tar archive"),
            (UNUSABLE, ("src/no.dsc",), "a line that is no field"),
            (FAILED, ("missing.dsc",), "missing.dsc: No such file or directory"),
            (FAILED, ("src",), "src: Is a directory"),
            (FAILED, ("src/greet_1.0.dsc", "missing"), "missing: No such file or directory"),
            (FAILED, ("src", "missing.dsc"), "missing.dsc: No such file or directory"),
        ):
            with self.subTest(words=words):
                self.assertIn(sentence, self.refused("package", "build", "farm", "bookworm", *words, code=code))
        self.assertEqual(self.master.submitted_files, [])

    def test_refused_by_the_master(self) -> None:
        """
        Promise 6.13: the master's sentence is the error.  A package that is not for the target has the exit code of a
        submission that cannot be used, like one that is found wrong before it is sent; a string that does not permit
        the submission has that of all other refusals.
        """
        for error, code in (
            (InputError("greet 1.0 is a source RPM, and bookworm builds packages of Debian."), UNUSABLE),
            (RefusedError("This string was good for 1 submission, and is used up."), FAILED),
        ):
            self.master.answers = {"submit_file": error}
            said = self.refused("package", "build", "farm", "bookworm", "src/greet_1.0.dsc", code=code)
            self.assertTrue(said.endswith(f"\n{error}"), said)

    def test_remedies_as_typed(self) -> None:
        """
        Promise 6.13: command lines in the master's refusal of a submission are for the caller.
        """
        refusal = "Job 7 builds it, too: kill that one (buildbot-lite package kill 7)."
        for where, kill in (
            (("farm", "bookworm"), "package kill farm 7)"),
            (("--furlfile", "farm/furls/bookworm.furl"), "package kill --furlfile farm/furls/bookworm.furl 7)"),
        ):
            for error, code in ((InputError(refusal), UNUSABLE), (RefusedError(refusal), FAILED)):
                self.master.answers = {"submit_file": error}
                self.assertIn(kill, self.refused("package", "build", *where, "src/greet_1.0.dsc", code=code))

    def chain(self) -> tuple[str, ...]:
        """
        Two source packages of Debian, and the words that build them.
        """
        os.mkdir("other")
        for name, data in greet(Source="other", Binary="other").items():
            with open(os.path.join("other", name.replace("greet", "other")), "wb") as file:
                file.write(data.replace(b" greet_1.0", b" other_1.0"))
        self.master.answers = {
            "submit_file": {
                "requests": [7],
                "builders": ["bookworm-amd64"],
                "watch": f"{FURL}-watch",
                "title": "job 5: greet 1.0 for bookworm",
                "number": 5,
            },
            "watch": {7: {"exit_code": 0}},
            "package-show": {"job": {"job": 5, "state": "needsign", "reason": ""}},
        }
        return "package", "build", "farm", "bookworm", "src/greet_1.0.dsc", "other/other_1.0.dsc"

    def test_chain(self) -> None:
        """
        Promise 9.6: of several packages, each is submitted after the one before it, with its own files, and followed.
        """
        words = self.chain()
        built = self.command(*words, "other/other_1.0.tar.xz")
        self.assertEqual(built.code, 0, built)
        self.assertEqual(self.master.submitted_options, [{}, {"after": 5}])
        names = []
        for sent in self.master.submitted_files:
            with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
                names.append(sorted(tar.getnames()))
        self.assertEqual(names, [[f"{name}_1.0.dsc", f"{name}_1.0.tar.xz"] for name in ("greet", "other")])
        self.assertEqual(self.command(*words[:5], "--after", "3", "--no-wait").code, 0)
        self.assertEqual(self.master.submitted_options[2:], [{"after": 3}])
        self.write("a.src.rpm", "")
        for name in ("a.src.rpm", "b.src.rpm"):
            with open(name, "wb") as file:
                file.write(TINY_SRPM)
        self.assertEqual(self.command(*words[:4], "a.src.rpm", "b.src.rpm").code, 0)
        self.assertEqual(self.master.submitted_options[3:], [{}, {"after": 5}])
        self.assertEqual(self.master.submitted_files[-2:], [TINY_SRPM, TINY_SRPM])

    def test_chain_that_breaks(self) -> None:
        """
        Promise 9.6: the exit code is that of the first package that is not built; what cannot be a chain is refused
        before anything is sent, and it is said how much was submitted when the master refuses one.
        """
        words = self.chain()
        with self.subTest("refused"):
            self.write("notes", "")
            said = self.refused(*words, "notes", code=UNUSABLE)
            self.assertIn("'notes' belongs to none of these packages", said)
            self.assertIn("Scratch builds enter no repository", self.refused(*words, "--scratch", code=UNUSABLE))
            with mock.patch.object(chain, "MOST_MEMBERS", 1):
                self.assertIn("2 packages; a chain has at most 1.", self.refused(*words, code=UNUSABLE))
            self.assertEqual(self.master.submitted_files, [])
        with self.subTest("failed"):
            self.master.answers = {**self.master.answers, "watch": {7: {"exit_code": 1}}}
            self.assertEqual(self.command(*words).code, 1)
        with self.subTest("old"):
            del self.master.answers["submit_file"]["number"]
            self.assertIn("builds no package after another", self.refused(*words, code=FAILED))

    def test_targets(self) -> None:
        """
        A name that is no target's has a suggestion; a file alone is not enough.
        """
        misspelt = ("package", "build", "farm", "bookwurm", "src/greet_1.0.dsc")
        self.master.answers = {**self.master.answers, "package-targets": NoAnswerError("It is gone.")}
        self.assertIn("Did you mean 'bookworm'?", self.refused(*misspelt))
        self.master.answers["package-targets"] = {"targets": [{"target": "bookworm", "aliases": ["b12"]}]}
        self.assertRegex(
            self.refused(*misspelt), r"no target 'bookwurm'.  Did you mean 'bookworm'\?  Targets are written in"
        )
        for words in (("farm", "src/greet_1.0.dsc"), ("farm",), ("farm", "--revision", "v1"), ()):
            self.assertIn("TARGET", self.refused("package", "build", *words, code=USAGE))

    def test_no_targets(self) -> None:
        """
        A farm without targets says so, and where they are written, whether a scheduler has the name or nothing.
        """
        self.write("farm/furls/hello.furl", f"{FURL}-hello\n")
        self.master.answers = {"package-targets": {"targets": []}, "submit_file": WrongVerbError("It takes no file.")}
        for name in ("none", "hello"):
            self.assertEqual(
                self.refused("package", "build", "farm", name, "src/greet_1.0.dsc").splitlines()[-1],
                f"The farm has no target '{name}', and no other.  Targets are written in c['targets'] of master.cfg; "
                "docs/packages.md has examples.",
            )
