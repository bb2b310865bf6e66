"""
Mistakes of users, commands and disks, in whole farms.
"""

import io
import json
import os
import tarfile
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from .farm import MASTER_TAC, Farm, until
from .farm_case import FarmCase, root_only

ODD = "odd näme (v1) & $HOME; 'x'/y"

# A command of a build that plants configuration and hooks for the next git.
TRAPS = """\
git config core.worktree /nowhere
git config core.fsmonitor "$PWD/../../../../trap"
mkdir -p .git/hooks
for hook in reference-transaction post-checkout post-index-change; do
    printf '#!/bin/sh\\nenv > "%s"\\n' "$PWD/../../../../trapped" > .git/hooks/$hook
    chmod +x .git/hooks/$hook
done
touch .git/index.lock .git/refs/fetched/it.lock
echo mine > file
: > .git/index
"""

PATCH = b"""diff --git a/file b/file
--- a/file
+++ b/file
@@ -1 +1 @@
-content
+other content
"""


def tar(*members: tuple[str, bytes], link: tuple[str, str] | None = None) -> bytes:
    """
    Return an archive with those members.
    """
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        if link is not None:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(member)
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


class BadInputTests(FarmCase):
    """
    A farm that continues to work after any bad input.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder for each kind of bad input.
        """
        farm = Farm("bot1")
        farm.run(
            "git init -q origin && cd origin && echo content > file && git add . &&"
            " git -c user.name=me -c user.email=me@example.org commit -q -m first"
        )
        where = "util.Property('where')"
        properties = "stdin='properties'"
        git = f"steps.Git(repourl={str(farm.directory / 'origin')!r}, mode='full', method='fresh', haltOnFailure=True)"
        address = "https://me:hunter22@git.example.org/origin"
        leads_here = {f"url.{farm.directory}/.insteadOf": "https://git.example.org/"}
        farm.builder(
            "trapped", f"steps.Git(repourl={address!r}, config={leads_here!r}, mode='full')", "cat file\n" + TRAPS
        )
        nowhere = "https://me:hunter22@127.0.0.1:1/x"
        farm.builder("unreachable", f"steps.Git(repourl={nowhere!r})")
        farm.builder("shown", f"steps.ShellCommand(command=['git', 'ls-remote', {nowhere!r}])")
        farm.builder("patched", git, "cat file", submit="stdin='patch'")
        farm.builder(
            "fan", git, "steps.Trigger(schedulerNames=['checked'], waitForFinish=True)", submit="stdin='patch'"
        )
        farm.builder("checked", git, "cat file; grep -q '^content' file", submit=None)
        farm.config("c['schedulers'].append(schedulers.Triggerable('checked', ['checked']))\n")
        farm.builder("unpacked", "steps.Unpack()", "find . -type f", submit="stdin='tar'")
        farm.builder("there", f"steps.ShellCommand(command='pwd', workdir={where})", submit=properties)
        farm.builder("taken", f"steps.FileUpload(slavesrc={where}, masterdest='x')", submit=properties)
        farm.builder("given", f"steps.StringDownload(s='x', slavedest={where})", submit=properties)
        farm.builder("removed", f"steps.RemoveDirectory(dir={where})", submit=properties)
        farm.builder(
            "linked",
            "ln -s /etc ../link; ln -s /etc link",
            "steps.FileUpload(slavesrc='link/hostname', masterdest='x')",
        )
        farm.builder("missing", "steps.ShellCommand(command=['no-such-program', '-x'])", "echo goes on")
        farm.builder("nowhere", "steps.FileUpload(slavesrc='nowhere', masterdest='x')")
        closed = "mkdir -p closed && chmod 0 closed"
        farm.builder("closed", closed, "steps.ShellCommand(command='true', workdir='build/closed/in')")
        farm.builder(
            "undecodable",
            r"steps.SetPropertyFromCommand(command=['printf', r'a\377b\000c'], property='odd')",
            "steps.ShellCommand(command=['echo', util.Property('odd')])",
        )
        farm.builder(ODD, f"steps.ShellCommand(command='pwd', name={ODD!r})", submit=None)
        farm.config(f"c['schedulers'].append(schedulers.Submit('odd', builderNames=[{ODD!r}]))\n")
        return farm.builder("named", "steps.SubmittedFile(slavedest='f')", "cat f", submit="file='file'")

    def tearDown(self) -> None:
        """
        Check that the farm still works.
        """
        self.assertTrue(self.farm.master.alive)
        self.assertTrue(self.farm.slave().alive)

    def refused(self, builder: str, stdin: bytes | None, why: str, codes: tuple[int, ...] = (1, 2)) -> None:
        """
        Check that the build fails, and that the remarks give the reason in sentences.
        """
        done = self.farm.submit(builder, stdin)
        self.assertIn(done.code, codes, done.err)
        self.assertRegex(done.err, why)
        self.assertNotIn("Traceback", done.err)

    def test_patch(self) -> None:
        """
        Bad input: a valid patch is applied; one that does not apply fails the build with a sentence.
        """
        self.assertEqual(self.farm.submit("patched", PATCH).out[-14:], b"other content\n")
        self.refused("patched", PATCH.replace(b"-content", b"-nothing of the kind"), r"(?i)patch.*apply")
        self.assertEqual(self.farm.submit("patched", PATCH).code, 0)

    def test_checkout_after_a_bad_build(self) -> None:
        """
        Promises 6.16, 6.18, 6.20: files left by a build are not executed during a fetch with a password, are not in the
        next checkout, and do not stop it; the password is in no log, record or remark.
        """
        for _ in range(2):
            done = self.farm.submit("trapped")
            self.assertEqual(done.code, 0, done.err)
            self.assertTrue(done.out.endswith(b"content\n"), done.out)
        self.assertFalse((self.farm.directory / "trapped").exists())
        self.refused("unreachable", None, r"git could not fetch HEAD from https://127\.0\.0\.1:1/x")
        self.refused("shown", None, r"git ls-remote https://me:\*+@127\.0\.0\.1:1/x")
        said = [self.farm.log(builder, 1) for builder in ("trapped", "unreachable", "shown")]
        self.assertNotIn(b"hunter22", b"".join(said))

    def test_patch_through_a_trigger(self) -> None:
        """
        Promises 6.9 and 6.10: triggered builds use the patched sources, and the submitter is told why one failed.
        """
        harmless = b"--- /dev/null\n+++ b/more\n@@ -0,0 +1 @@\n+x\n"
        self.assertEqual(self.farm.submit("fan", harmless).code, 0)
        done = self.farm.submit("fan", PATCH)
        self.assertEqual(done.code, 1, done.err)
        self.assertRegex(
            done.err, r"# checked: checked/\d+: FAILURE, step shell \(exit code 1\)\n# checked: +other content"
        )
        self.assertRegex(
            done.out, rb"checked: checked/\d+: FAILURE, step shell \(exit code 1\)\nchecked: +other content"
        )

    def test_patch_that_leads_out(self) -> None:
        """
        Bad input: a patch cannot write outside its checkout.
        """
        for name in (b"../../../outside", b"/tmp/outside"):
            patch = b"--- /dev/null\n+++ b/" + name + b"\n@@ -0,0 +1 @@\n+x\n"
            self.refused("patched", patch, r"(?i)patch")
        # Unlike Path.rglob, os.walk ignores directories that are removed meanwhile.
        for above, directories, files in os.walk(self.farm.directory):
            self.assertNotIn("outside", directories + files, above)

    def test_archives_that_lead_out(self) -> None:
        """
        Bad input: an archive cannot write outside its directory, by a relative name, an absolute name or a link.
        """
        for archive in (
            tar(("../escaped", b"x")),
            tar((str(self.farm.directory / "escaped"), b"x")),
            tar(("out/escaped", b"x"), link=("out", str(self.farm.directory))),
        ):
            done = self.farm.submit("unpacked", archive)
            self.assertFalse(list(self.farm.directory.glob("escaped")))
            self.assertFalse(list(self.farm.directory.glob("bot1/work/*/escaped")))
            self.assertIn(done.code, (0, 1))
        self.refused("unpacked", tar(("../escaped", b"x")), "(?i)outside|lead")

    def test_broken_archive(self) -> None:
        """
        Bad input: a truncated archive fails the build; the next archive is unpacked.
        """
        whole = tar(("some", bytes(100_000)))
        self.refused("unpacked", whole[:50_000], "(?i)archive|unpack")
        self.assertEqual(self.farm.submit("unpacked", whole).code, 0)

    def test_paths(self) -> None:
        """
        Bad input: a path from a property that is absolute or has ``..`` is refused by every step.
        """
        for builder in ("there", "taken", "given", "removed"):
            for where in ("../../..", "/etc", "a/../../../x", "~/../x/../../../y"):
                with self.subTest(builder=builder, where=where):
                    self.refused(builder, f"where={where}\n".encode(), r"relative path|outside the allowed|at its beg")

    def test_links(self) -> None:
        """
        Bad input: a link that leads out of the slave's directory is not followed.
        """
        self.refused("linked", None, r"(?i)link|outside|lead|not a directory")

    def test_missing_program(self) -> None:
        """
        Bad input: a missing program fails its step, which names it; the build goes on.
        """
        self.refused("missing", None, r"No such program: .?no-such-program", codes=(1,))
        self.assertEqual(self.farm.log("missing", 1), b"goes on\n")

    def test_missing_file(self) -> None:
        """
        Bad input: a missing file fails its step, which names it.
        """
        self.refused("nowhere", None, r"nowhere", codes=(1,))

    def test_no_permission(self) -> None:
        """
        Bad input: a directory without permissions fails the step with a sentence.
        """
        if os.geteuid() == 0:
            raise SkipTest("root may go everywhere")
        self.refused("closed", None, r"(?i)permission denied")

    def test_undecodable(self) -> None:
        """
        Bad input: output that is not UTF-8 becomes a property with replacement characters; the log keeps the bytes.
        """
        done = self.farm.submit("undecodable")
        self.assertEqual(
            (done.code, done.out),
            (0, b"a\xffb\0c" + "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\n".encode()),
        )

    def test_odd_names(self) -> None:
        """
        Bad input: builders and steps with unusual names stay inside the farm's directories, and their logs can be read.
        """
        done = self.farm.submit("odd")
        self.assertEqual(done.code, 0, done.err)
        where = os.path.relpath(done.out.decode().strip(), self.farm.directory / "bot1" / "work")
        self.assertRegex(where, r"\A[A-Za-z0-9._+%=-]+/build\Z")
        asked = self.farm.command("log", str(self.farm.master_directory), ODD, "1", ODD)
        self.assertEqual((asked.code, asked.out), (0, done.out), asked.err)
        listed = json.loads(self.farm.command("builds", str(self.farm.master_directory), ODD, "--json").out)
        self.assertEqual([(each["builder"], each["steps"][0]["name"]) for each in listed], [(ODD, ODD)])

    def test_odd_file_names(self) -> None:
        """
        Bad input: an uploaded file may have any name.
        """
        # The stock client cannot send a name that is not UTF-8.
        for number, name in enumerate((b"a b\n$(touch x)", "ü".encode() * 100, b"-rf"), 1):
            path = os.path.join(os.fsencode(self.farm.directory), name)
            with open(path, "wb") as file:
                file.write(b"content %d" % number)
            done = self.farm.upload("named", os.fsdecode(path))
            self.assertEqual(done.code, 0, done.err)
            query = "select 1 from builds where builder = 'named' and number = ? and result = 0"
            until(lambda: self.farm.rows(query, number), "it was built")  # noqa: B023 - called at once
            self.assertEqual(self.farm.log("named", number), b"content %d" % number)


@root_only
class FullDiskTests(SynchronousTestCase):
    """
    Disks of a few MiB.
    """

    def test_slave(self) -> None:
        """
        Bad input: while a slave's disk is full the command waits; when there is space it continues, and no output is
        lost.
        """
        with Farm("bot1") as farm:
            farm.builder("long", "echo begun; until test -e $WITNESS/go; do sleep 0.05; done; seq 1 1500000")
            farm.write_config()
            farm.start_master()
            farm.slave_directory("bot1")
            farm.mount("bot1", 24 << 20)
            farm.write_slave_tac("bot1")
            farm.start_slave()
            client = farm.submitting("long")
            until(lambda: client.out, "the command runs")
            ballast = farm.fill("bot1", leave=1 << 20)
            (farm.witness / "go").touch()
            until(lambda: farm.free("bot1") == 0, "the disk is full")
            self.assertIsNone(client.process.poll())
            ballast.unlink()

            done = client.wait()
            wanted = b"begun\n" + b"".join(b"%d\n" % number for number in range(1, 1500001))
            self.assertEqual(done.code, 0, done.err)
            self.assertEqual(done.out == wanted, True, "the log is whole")

    def test_stale_directories(self) -> None:
        """
        Promise 8.9: a slave with less space than its minspace removes the work directory of a builder that it no longer
        serves, keeps those of its builders, and builds again.
        """
        with Farm("bot1") as farm:
            farm.slave_options["bot1"] = f"minspace={12 << 20}"
            farm.builder("stale", "head -c 16000000 /dev/zero > big")
            farm.builder("used", "touch kept")
            farm.write_config()
            farm.start_master()
            farm.slave_directory("bot1")
            farm.mount("bot1", 24 << 20)
            farm.write_slave_tac("bot1")
            slave = farm.start_slave()
            for name in ("used", "stale"):
                self.assertEqual(farm.submit(name).code, 0)
            self.assertLess(farm.free("bot1"), 12 << 20)
            farm.write_config(without=["stale"])
            done = farm.command("reconfig", str(farm.master_directory))
            self.assertEqual(done.code, 0, done.err)
            # It looks once a minute, and when it attaches.
            slave.stop()
            slave = farm.start_slave()
            self.assertEqual(farm.submit("used").code, 0)
            self.assertEqual(os.listdir(farm.directory / "bot1" / "work"), ["used"])
            self.assertGreater(farm.free("bot1"), 12 << 20)
            self.assertIn("removed work/stale", slave.log)

    def test_master(self) -> None:
        """
        Bad input, promise 10: while the master's disk is full nothing is lost and nothing starts; then everything
        continues.
        """
        with Farm("bot1") as farm:
            farm.mount("master", 48 << 20)
            (farm.master_directory / "master.tac").write_text(MASTER_TAC)
            farm.builder("long", "echo begun; until test -e $WITNESS/go; do sleep 0.05; done; seq 1 3000000")
            farm.builder("next", "echo next")
            farm.start()
            client = farm.submitting("long")
            until(lambda: client.out, "the command runs")
            ballast = farm.fill("master", leave=4 << 20)
            (farm.witness / "go").touch()
            until(lambda: farm.free("master") < 1 << 20, "the disk is full")
            ((waiting,),) = farm.rows("select count(*) from builds where finished is null")
            self.assertEqual(waiting, 1)
            other = farm.submitting("next")

            def why() -> str:
                answer = farm.command("queue", str(farm.master_directory), "--json")
                return answer.out.decode()

            # The request itself may wait for space as well; then it is not in the queue yet.
            if other.process.poll() is None and '"next"' in why():
                self.assertIn("disk-full", why())
            self.assertEqual(farm.rows("select builder from builds"), [("long",)], "nothing else began")
            ballast.unlink()

            done = client.wait(400)
            wanted = b"begun\n" + b"".join(b"%d\n" % number for number in range(1, 3000001))
            self.assertEqual(done.code, 0, done.err)
            self.assertEqual(done.out == wanted, True, "the log is whole")
            self.assertEqual(farm.log("long", 1) == wanted, True, "it is whole on the disk")
            self.assertEqual(other.wait().out, b"next\n")
