"""
Submissions with the stock client, as their users see them.
"""

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path

from .farm import (
    Farm,
    Rss,
    until,
    watch_furl_in,
)
from .farm_case import FarmCase


class SubmissionTests(FarmCase):
    """
    A farm with many small builders.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder for each result.
        """
        return (
            Farm("bot1", "bot2")
            .builder("good", "echo one; echo two >&2", "echo three")
            .builder("warned", "steps.ShellCommand(command='exit 7', decodeRC={7: 1})")
            .builder("bad", "echo before; exit 3", "echo after")
            .builder("broken", "steps.ShellCommand(command=['echo', util.Property('nowhere')])")
            .builder(
                "slow", "echo begun; touch $WITNESS/slow; while ! test -e $WITNESS/go; do sleep 0.05; done; echo ended"
            )
            .builder("watched", "echo begun; sleep 600", submit="cancelOnDisconnect=True")
            .builder("endless", "yes 0123456789abcdef | head -c 300000000; touch $WITNESS/endless")
            .builder("patched", "steps.SubmittedFile(slavedest='p', input='patch')", "cat p", submit="stdin='patch'")
            .builder("unpacked", "steps.Unpack()", "sha256sum < payload", submit="file='tar'")
            .builder("kept", "steps.SubmittedFile(slavedest='f')", "sha256sum < f", submit="file='file'")
            .builder(
                "told", "steps.ShellCommand(command=['echo', util.Property('colour')])", submit="stdin='properties'"
            )
            .builder(
                "named",
                "steps.ShellCommand(command=['echo', util.Property('filename')])",
                submit="file='file'",
                more="properties={'filename': 'app'}",
            )
            .builder("lost", "kill -9 $PPID; sleep 600")
            .config("c['maxRetries'] = 0\n")
        )

    def test_log_remarks_and_code(self) -> None:
        """
        Promise 4: stdout is the log of the build's steps; stderr has the request number, the watch FURL and remarks.
        """
        done = self.farm.submit("good")

        self.assertEqual(done.code, 0)
        self.assertEqual(done.out, b"one\ntwo\nthree\n")
        first, *remarks = done.err.splitlines()
        self.assertRegex(first, r"\A# request \d+: watch with pb://[a-z2-7]{32}@tcp:127\.0\.0\.1:\d+/\S+\Z")
        self.assertTrue(all(line.startswith("# ") for line in remarks), remarks)
        self.assertRegex(remarks[0], r"\A# good/\d+ runs on bot[12]\Z")
        self.assertRegex(remarks[-1], r"\A# good/\d+: SUCCESS\Z")

    def test_warnings_are_no_failure(self) -> None:
        """
        Promise 4: the exit code of a build with warnings is 0.
        """
        self.assertEqual(self.farm.submit("warned").code, 0)

    def test_failure(self) -> None:
        """
        Promise 4: the exit code of a failure is 1, and the remarks name the step.
        """
        done = self.farm.submit("bad")

        self.assertEqual((done.code, done.out), (1, b"before\nafter\n"))
        self.assertIn("# step shell: failure (exit code 3)", done.err)

    def test_exception(self) -> None:
        """
        Promise 4: the exit code of an exception is 2.
        """
        done = self.farm.submit("broken")

        self.assertEqual((done.code, done.out), (2, b""))
        self.assertIn("# step shell: exception (shell: each word of command must be text, not None.)", done.err)

    def test_retries_used_up(self) -> None:
        """
        Promise 4: the exit code is 4 when all retries are used up; a remark gives the reason of each loss.
        """
        done = self.farm.submit("lost")

        self.assertEqual(done.code, 4, done.err)
        # The keeper may be dead before it has recorded the spawn of the command.
        self.assertRegex(done.err, r"gave up after 0 retries: The keeper that (ran|claimed) it ended")

    def test_cancelled(self) -> None:
        """
        Promise 4: with cancelOnDisconnect, Ctrl-C on the client cancels the build; its watch FURL gives exit code 4.
        """
        client = self.farm.submitting("watched")
        furl = client.watch_furl()
        until(lambda: client.out == b"begun\n", "the build has begun")
        client.process.send_signal(signal.SIGINT)
        client.wait()

        done = self.farm.watch(furl)

        self.assertEqual((done.code, done.out), (4, b"begun\n"))
        self.assertRegex(done.err.splitlines()[-1], r"CANCELLED \(the client went away\)")

    def test_interrupted_client(self) -> None:
        """
        Promise 4: Ctrl-C on the client leaves the build running; its watch FURL shows the build from the start, any
        number of times.
        """
        client = self.farm.submitting("slow")
        furl = client.watch_furl()
        until(lambda: client.out == b"begun\n", "the build has begun")
        client.process.send_signal(signal.SIGINT)
        client.wait()
        watching = self.farm.watching(furl)
        until(lambda: watching.out == b"begun\n", "the watcher is told what was before")
        (self.farm.witness / "go").touch()

        for done in (watching.wait(), self.farm.watch(furl)):
            self.assertEqual((done.code, done.out), (0, b"begun\nended\n"))
            self.assertEqual(watch_furl_in(done.err), "", "a watcher has the string already")

    def test_client_that_does_not_read(self) -> None:
        """
        Promise 4: a client that does not read costs the master no memory, and delays neither its build nor others.
        """
        memory = Rss({"master": self.farm.master.pid})
        furl_file = self.farm.private_furl(self.farm.furl("endless"))
        with subprocess.Popen(
            ["flappclient", "--furlfile", furl_file, "run-command"],
            env=self.farm.env,
            executable=self.farm.program("flappclient"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as deaf:
            try:
                self.assertEqual(self.farm.submit("good").code, 0)
                until((self.farm.witness / "endless").exists, "the build that nobody reads ended")
                memory.sample()
                self.assertEqual(self.farm.submit("good").code, 0)
                self.assertIsNone(deaf.poll())
                until(
                    lambda: self.farm.rows("select result from builds where builder = 'endless'") == [(0,)], "its end"
                )
                self.assertLess(memory.above_idle()["master"], 32)
            finally:
                deaf.kill()

    def test_patch_on_standard_input(self) -> None:
        """
        The standard input of a submission reaches the build byte for byte.
        """
        patch = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\xff\x00\n+caf\xc3\xa9\n\\ No newline at end of file"

        self.assertEqual(self.farm.submit("patched", patch).out, patch)

    def test_no_patch(self) -> None:
        """
        Bad input: an input that is not a patch is refused with a sentence, and no build is requested.
        """
        before = self.farm.rows("select count(*) from requests")
        for text in (b"", b"  \n\n", b"hello\n", b"\x00\xff" * 5000):
            done = self.farm.submit("patched", text)
            self.assertEqual((done.code, done.out), (2, b""))
            self.assertRegex(done.err, r"\A(The patch is empty|The submission is not a patch).*\n\Z")
        self.assertEqual(self.farm.rows("select count(*) from requests"), before)

    def test_properties(self) -> None:
        """
        A submission passes on properties; an invalid line is refused with its number.
        """
        self.assertEqual(self.farm.submit("told", b"colour=blue\n").out, b"blue\n")
        for text, why in ((b"colour=blue\nred\n", "Line 2"), (b"\xff=\xfe\n", "not UTF-8")):
            done = self.farm.submit("told", text)
            self.assertEqual(done.code, 2)
            self.assertIn(why, done.err)

    def test_hung_up_in_mid_transaction(self) -> None:
        """
        Promise 6.4: clients of a FURL for one use that disconnect while their request is being recorded get one
        request, and no more.
        """
        asked = self.farm.command("grant", "submit", str(self.farm.master_directory), "told", "--uses", "1")
        furl_file = self.farm.private_furl(asked.out.decode().strip())
        program = str(Path(__file__).with_name("hanging_up.py"))
        before = self.farm.rows("select count(*) from requests where builder = 'told'")[0][0]
        with self.farm.locked_records():
            said = [self.farm.client("python", program, furl_file, "colour=red").wait().out for _ in range(3)]
        until(
            lambda: self.farm.rows("select count(*) from requests where builder = 'told'")[0][0] > before,
            "the first is recorded",
        )
        said.append(self.farm.client("python", program, furl_file, "colour=red").wait().out)

        used_up = b"This string was good for 1 submission, and is used up.  Ask the farm's admin for another.\n"
        self.assertEqual(said, [b"", used_up, used_up, used_up])
        self.assertEqual(self.farm.rows("select count(*) from requests where builder = 'told'")[0][0], before + 1)

    def test_input_that_stands_still(self) -> None:
        """
        Promise 6.15: a client that sends only half of its input gets an error after a while, and nothing is built.
        """
        self.addCleanup(self.give_inputs, 300.0)
        self.give_inputs(1.0)
        before = self.farm.rows("select count(*) from requests")
        half = (
            "mkfifo $WITNESS/half; exec 3<>$WITNESS/half; printf colour= >&3; "
            'exec flappclient --furlfile "$0" run-command <&3'
        )
        done = self.farm.client("/bin/sh", "-c", half, self.farm.private_furl(self.farm.furl("told"))).wait()

        self.assertEqual((done.code, done.out), (2, b""))
        self.assertIn("The input stalled", done.err)
        self.assertEqual(self.farm.rows("select count(*) from requests"), before)

    def give_inputs(self, seconds: float) -> None:
        """
        Set the time that an input may pause.
        """
        self.farm.write_config(
            more=f"from buildbot_lite.control import input_receiver\ninput_receiver.STALL_TIMEOUT = {seconds}\n"
        )
        done = self.farm.command("reconfig", str(self.farm.master_directory))
        self.assertEqual(done.code, 0, done.err)

    def test_flood(self) -> None:
        """
        Promise 6.15: a thousand equal calls of a FURL's holder give a few lines in the log, with a count.
        """
        before = self.farm.master.log
        furl_file = self.farm.private_furl(self.farm.furl("good"))
        done = self.farm.client("python", str(Path(__file__).with_name("flooding.py")), furl_file, "1000").wait()

        self.assertEqual((done.code, done.err), (0, ""))
        # The slaves' links are none of the flood's, and may be lost on a machine that stands still.
        new = self.farm.master.log.removeprefix(before).splitlines()
        caused = [line for line in new if not re.search(r"bot[12]: ", line)]
        self.assertTrue(any("a slave was refused" in line for line in caused), caused)
        self.assertLess(len(caused), 20, caused)

    def test_expires(self) -> None:
        """
        Promise 6.18: when a FURL expires, following with it ends; its build and the clients of other FURLs continue.
        """
        client = self.farm.submitting("watched")
        client.watch_furl()
        until(lambda: client.out == b"begun\n", "the build has begun")
        request = client.err.split()[2].rstrip(":")
        # On a slow machine a FURL may have expired before it is used.
        for seconds in (4, 30, 120):
            grant = ("grant", "watch", str(self.farm.master_directory), request, "--expires", f"{seconds}s")
            done = self.farm.watch(self.farm.command(*grant).out.decode().strip())
            if done.out:
                break

        self.assertEqual((done.code, done.out), (3, b"begun\n"), done.err)
        self.assertIsNone(client.process.poll())
        self.assertEqual(self.farm.rows("select result from requests where id = ?", int(request)), [(None,)])
        client.process.send_signal(signal.SIGINT)
        client.wait()

    def test_upload(self) -> None:
        """
        Promise 5: upload-file answers when the file is stored under its SHA-256 checksum and the request is queued.
        """
        content = os.urandom(3_000_001)
        path = self.farm.directory / "päyload 1.bin"
        path.write_bytes(content)

        done = self.farm.upload("kept", path)

        self.assertEqual((done.code, done.err), (0, ""))
        sha256 = hashlib.sha256(content).hexdigest()
        ((length, kept),) = self.farm.rows("select length, sha256 from inputs where kind = 'file'")
        self.assertEqual((length, kept), (len(content), sha256))
        stored = [file for file in (self.farm.master_directory / "inputs").rglob("*") if file.is_file()]
        self.assertIn(content, [file.read_bytes() for file in stored])
        self.assertEqual(len(self.farm.rows("select 1 from requests where builder = 'kept'")), 1)
        until(lambda: self.farm.rows("select 1 from builds where builder = 'kept' and result = 0"), "it was built")
        self.assertEqual(self.farm.log("kept", 1), f"{sha256}  -\n".encode())

    def test_upload_with_a_name_of_its_own(self) -> None:
        """
        Promise 6.17: the file name of an upload overrides no property of the farm, and is one harmless line wherever it
        is stored or shown.
        """
        path = self.farm.directory / "x\n# named_1: SUCCESS\x1b[2J"
        path.write_bytes(b"x")

        self.assertEqual(self.farm.upload("named", path).code, 0)
        until(lambda: self.farm.rows("select 1 from builds where builder = 'named' and result = 0"), "it was built")
        self.assertEqual(self.farm.log("named", 1), b"app\n")
        ((reason,),) = self.farm.rows("select reason from buildsets where scheduler = 'named'")
        self.assertEqual(reason, "submitted through named: x?# named_1: SUCCESS?[2J")
        self.assertNotIn("\x1b", self.farm.master.log)

    def test_upload_of_an_archive(self) -> None:
        """
        Promise 5: an uploaded tar archive becomes a build's input; a file that is no archive is refused with a
        sentence.
        """
        payload = self.farm.directory / "payload"
        payload.write_bytes(os.urandom(200_000))
        archive = self.farm.directory / "some.tar.gz"
        subprocess.run(["tar", "-czf", archive, "-C", self.farm.directory, "payload"], check=True)

        self.assertEqual(self.farm.upload("unpacked", archive).code, 0)
        until(lambda: self.farm.rows("select 1 from builds where builder = 'unpacked' and result = 0"), "it was built")
        wanted = hashlib.sha256(payload.read_bytes()).hexdigest()
        self.assertEqual(self.farm.log("unpacked", 1), f"{wanted}  -\n".encode())

        refused = self.farm.upload("unpacked", payload)
        self.assertEqual(refused.code, 255)
        self.assertIn("The submission is not a tar archive", refused.err)
        # The stock client itself prints "Traceback from remote host --" before any error.
        self.assertNotIn('File "', refused.err)

    def test_upload_that_breaks_off(self) -> None:
        """
        Bad input: an interrupted upload leaves no file and no request.
        """
        path = self.farm.directory / "endless.bin"
        with path.open("wb") as file:
            file.truncate(1 << 40)
        inputs = self.farm.master_directory / "inputs"
        client = self.farm.uploading("kept", path)

        def largest() -> int:
            return max((file.stat().st_size for file in inputs.rglob("*") if file.is_file()), default=0)

        before = {file.name for file in inputs.rglob("*")}
        requests = self.farm.rows("select count(*) from requests where builder = 'kept'")
        until(lambda: largest() > 10_000_000, "some of it arrived")
        client.process.kill()

        until(lambda: {file.name for file in inputs.rglob("*")} <= before, "what arrived was removed")
        self.assertEqual(self.farm.rows("select count(*) from requests where builder = 'kept'"), requests)

    def test_follow_submits_nothing(self) -> None:
        """
        Promise 6.14: buildbot-lite follow refuses a FURL for submissions, and submits nothing.  A slave's FURL that is
        pinned to another key gives access to nothing.
        """
        (before,) = self.farm.rows("select count(*) from requests")
        furls = self.farm.master_directory / "furls"
        for path in sorted(furls.glob("*.furl")):
            done = self.farm.command("follow", str(path))
            self.assertEqual((done.code, done.out), (70, b""))
            self.assertRegex(done.err, r"\AThis string[^\n]*\n\Z")
            self.assertRegex(
                done.err, "is for submitting|does not permit watching|belongs to a slave, and works only in that"
            )
        self.assertEqual(self.farm.rows("select count(*) from requests"), [before])

    def test_wrong_way(self) -> None:
        """
        Promise 3: a FURL that is used with the wrong command is refused with the right one.
        """
        done = self.farm.upload("good", Path(__file__))
        self.assertEqual(done.code, 255)
        self.assertIn("This string takes no file.  Use it with: flappclient --furlfile FILE run-command", done.err)

        done = self.farm.submit("kept")
        self.assertEqual(done.code, 255)
        self.assertIn("This string takes a file.", done.err)
