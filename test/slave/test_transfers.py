"""
Uploads, downloads and directories: complete or absent, and restarted when needed.
"""

import errno
import hashlib
import io
import os
import stat
import tarfile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError, NotFoundError
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Why,
)
from buildbot_lite.model.spec import (
    Download,
    MakeDirectory,
    RemoveDirectory,
    Spec,
    Upload,
    UploadDirectory,
)
from buildbot_lite.slave import downloads, uploads
from buildbot_lite.slave.transfer_files import LONGEST_DISK_WAIT

from .fakes import (
    FakeCommand,
    SimulatedMachine,
    new_directory,
    sealed,
)

ID = "e1" * 16


class TransferTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A machine with one link to its master.
        """
        self.machine = SimulatedMachine(new_directory(self))
        self.command = FakeCommand()
        self.link = self.machine.link()

    def start(self, spec: Spec) -> None:
        """
        Start *spec*, and let it run as far as it can.
        """
        self.successResultOf(self.link.start(ID, spec, {}, self.command))
        self.machine.settle()

    def relink(self, **have: int) -> None:
        """
        Lose the link, and resume the transfer over the next one.
        """
        self.link.lost()
        self.link = self.machine.link()
        kept = self.command
        self.command = FakeCommand(kept.sources)
        self.command.streams = kept.streams
        self.successResultOf(self.link.resume(ID, self.command, have))
        self.machine.settle()

    @property
    def outcome(self) -> Outcome:
        """
        Return the one outcome that was sent.
        """
        [outcome] = self.command.outcomes
        return outcome

    def assert_failed(self, words: str) -> None:
        """
        Check that the transfer failed, with these *words* in its sentence, and left nothing.
        """
        self.assertIs(self.outcome.ending, Ending.FAILED)
        self.assertIn(words, self.outcome.sentence)
        self.assert_clean()

    def assert_clean(self) -> None:
        """
        Check that no command is held and no file is left.
        """
        self.assertTrue(self.machine.agent.idle)
        self.assertEqual(os.listdir(os.path.join(self.machine.directory, "transfers")), [])
        for _, _, files in os.walk(self.machine.work):
            self.assertEqual([name for name in files if name.endswith(".part")], [])


class DirectoryTests(TransferTests):
    def test_make(self) -> None:
        """
        A directory is created with its parents.
        """
        self.start(MakeDirectory("a/b"))
        self.assertTrue(self.outcome.succeeded)
        self.assertTrue(os.path.isdir(self.machine.path("a/b")))
        self.assert_clean()

    def test_make_impossible(self) -> None:
        """
        When a file is in the way, the step fails with a sentence.
        """
        self.machine.put("a", b"")
        self.start(MakeDirectory("a/b"))
        self.assert_failed("'a/b': Not a directory")

    def test_remove(self) -> None:
        """
        A directory is removed with its contents; removing it again succeeds.
        """
        self.machine.put("a/b/c", b"")
        self.start(RemoveDirectory("a"))
        self.assertTrue(self.outcome.succeeded)
        self.assertEqual(os.listdir(self.machine.work), [])

    def test_remove_is_stopped(self) -> None:
        """
        Promise 6.15: interrupting a removal kills its worker process, and ends the command.
        """
        self.machine.put("a/b/c", b"")
        self.machine.busy = True
        self.start(RemoveDirectory("a", max_time=7.0))
        self.assertEqual(self.machine.jobs, [("remove", 7.0)])
        self.successResultOf(self.link.interrupt(ID, "cancelled"))
        self.machine.settle()
        self.assertIs(self.outcome.why, Why.INTERRUPTED)
        self.assertEqual(self.machine.killed, 1)
        self.assert_clean()

    def test_remove_what_is_nothing(self) -> None:
        """
        Files, links, empty directories and missing entries are removed without a worker process.
        """
        self.machine.put("file", b"")
        os.symlink("file", self.machine.path("link"))
        os.mkdir(self.machine.path("empty"))
        for number, name in enumerate(("file", "link", "empty", "nothing")):
            self.successResultOf(self.link.start(f"{number:032}", RemoveDirectory(name), {}, self.command))
            self.machine.settle()
        self.assertEqual(os.listdir(self.machine.work), [])
        self.assertEqual([outcome.succeeded for outcome in self.command.outcomes], [True] * 4)
        self.assertEqual(self.machine.jobs, [])

    def test_link_out(self) -> None:
        """
        Nothing outside of the work directory is changed.
        """
        outside = new_directory(self)
        os.symlink(outside, self.machine.path("out"))
        self.start(MakeDirectory("out/x"))
        self.assert_failed("leads out")
        self.assertEqual(os.listdir(outside), [])


class UploadTests(TransferTests):
    def test_upload(self) -> None:
        """
        A file arrives complete as the stream "artifact", with its checksum.
        """
        data = os.urandom(1_000_000)
        self.machine.put("b/x.tar", data)
        self.start(Upload("b/x.tar"))
        self.assertEqual(self.command.streams, {"artifact": data})
        self.assertEqual(self.outcome, Outcome(Ending.EXITED, exit_code=0, streams=sealed(artifact=data)))
        self.assert_clean()

    def test_unreadable(self) -> None:
        """
        Promise 6.22: a read error in the middle of a file (a damaged disk, a lost file server) fails the step.
        """
        self.machine.put("x", b"1" * 1_000_000)
        self.command.slow = True
        self.start(Upload("x"))
        with mock.patch.object(os, "pread", side_effect=OSError(errno.EIO, "Input/output error")):
            self.command.answer()
        self.command.slow = False
        while self.command.waiting:
            self.command.answer()
        self.machine.settle()
        self.assert_failed("'x': Input/output error.")

    def test_large(self) -> None:
        """
        Promise 6.15: the checksum of a large file is computed in a worker process.
        """
        self.patch(uploads, "LARGE", 1000)
        data = os.urandom(100_000)
        self.machine.put("x", data)
        self.start(Upload("x"))
        self.assertEqual(self.outcome.streams, sealed(artifact=data))
        self.assertEqual(self.machine.jobs, [("sum", None)])

    def test_empty(self) -> None:
        """
        An empty file is uploaded as an empty artifact.
        """
        self.machine.put("x", b"")
        self.start(Upload("x"))
        self.assertEqual(self.outcome.streams, sealed(artifact=b""))

    def test_missing(self) -> None:
        """
        A missing file fails the step; the sentence names it.
        """
        self.start(Upload("b/x.tar"))
        self.assert_failed("'b/x.tar': No such file or directory")

    def test_largest(self) -> None:
        """
        A file above the size limit is not sent.
        """
        self.machine.put("x", b"12345")
        self.start(Upload("x", largest=4))
        self.assert_failed("has 5 bytes; at most 4")
        self.assertEqual(self.command.streams, {})

    def test_secret_file(self) -> None:
        """
        A link to a file outside is refused.
        """
        os.symlink("/etc/passwd", self.machine.path("x"))
        self.start(Upload("x"))
        self.assert_failed("leads out")

    def test_blip(self) -> None:
        """
        Promise 7: after the loss of a link an upload continues at the master's offset.
        """
        data = os.urandom(1_000_000)
        self.machine.put("x", data)
        self.command.slow = True
        self.start(Upload("x"))
        self.command.answer()
        have = len(self.command.streams["artifact"])
        self.relink(artifact=have)
        self.assertEqual(self.command.calls[0][1], have)
        self.assertEqual(self.command.streams, {"artifact": data})
        self.assert_clean()

    def test_restarted_process(self) -> None:
        """
        Promise 7: a new process of the slave continues the upload of an unchanged file.
        """
        data = os.urandom(1_000_000)
        self.machine.put("x", data)
        self.command.slow = True
        self.start(Upload("x"))
        self.command.answer()
        self.machine.restart()
        self.relink(artifact=len(self.command.streams["artifact"]))
        self.assertEqual(self.command.streams, {"artifact": data})
        self.assertTrue(self.outcome.succeeded)
        self.assert_clean()

    def test_changed_while_away(self) -> None:
        """
        A file that changed between two processes is sent again, as the next generation.
        """
        self.machine.put("x", b"a" * 100_000)
        self.command.slow = True
        self.start(Upload("x"))
        self.command.answer()
        self.machine.restart()
        self.machine.put("x", b"b" * 100_000)
        self.relink(artifact=16384)
        self.assertEqual(self.command.streams["artifact~1"], b"b" * 100_000)
        self.assertEqual(self.outcome.streams, {"artifact~1": sealed(x=b"b" * 100_000)["x"]})
        self.assert_clean()

    def change(self, *contents: bytes) -> None:
        """
        Upload a file that gets other *contents* each time its last byte was sent.
        """
        self.machine.put("x", b"first")
        later = list(contents)
        append = self.command.append

        def appended(stream: str, offset: int, data: bytes) -> object:
            answer = append(stream, offset, data)
            if later:
                self.machine.put("x.new", later.pop(0))
                os.rename(self.machine.path("x.new"), self.machine.path("x"))
            return answer

        with mock.patch.object(self.command, "append", appended):
            self.start(Upload("x"))

    def test_changed(self) -> None:
        """
        A file that changes while it is sent is sent once more.
        """
        self.change(b"second")
        self.assertEqual(self.command.streams, {"artifact": b"first", "artifact~1": b"second"})
        self.assertEqual(self.outcome.streams, {"artifact~1": sealed(x=b"second")["x"]})
        self.assert_clean()

    def test_keeps_changing(self) -> None:
        """
        A file that changes a second time fails the step.
        """
        self.change(b"second", b"third")
        self.assert_failed("'x' changed while it was uploaded")

    def test_shrinks(self) -> None:
        """
        A file that shrinks while it is read is detected.
        """
        self.machine.put("x", b"a" * 1_000_000)
        self.command.slow = True
        self.start(Upload("x"))
        os.truncate(self.machine.path("x"), 10)
        self.command.slow = False
        self.command.answer(len(self.command.waiting))
        self.machine.settle()
        self.assertEqual(self.command.streams["artifact~1"], b"a" * 10)
        self.assertEqual(set(self.outcome.streams), {"artifact~1"})

    def test_other_checksum(self) -> None:
        """
        After a checksum mismatch the file is sent again, as the next generation, also across a restart.
        """
        self.machine.put("x", b"data")
        self.command.wrong = ["artifact"]
        self.start(Upload("x"))
        self.assertEqual(self.command.streams["artifact~1"], b"data")
        self.assertEqual([set(outcome.streams) for outcome in self.command.outcomes], [{"artifact"}, {"artifact~1"}])
        self.assert_clean()

    def test_generation_after_restart(self) -> None:
        """
        A new process continues the generation that the master knows.
        """
        self.machine.put("x", b"data")
        self.command.commits = False
        self.start(Upload("x"))
        self.machine.restart()
        self.command.streams["artifact~1"] = bytearray(b"da")
        self.relink(**{"artifact": 4, "artifact~1": 2})
        self.assertEqual(self.command.calls, [("artifact~1", 2, 2)])
        self.assertEqual(set(self.outcome.streams), {"artifact~1"})

    def test_interrupt(self) -> None:
        """
        An interrupted upload ends at once, with the reason.
        """
        self.machine.put("x", b"a" * 1_000_000)
        self.command.slow = True
        self.start(Upload("x"))
        self.successResultOf(self.link.interrupt(ID, "cancelled by amy"))
        self.machine.settle()
        self.assertEqual((self.outcome.ending, self.outcome.why), (Ending.KILLED, Why.INTERRUPTED))
        self.assertEqual(self.outcome.sentence, "cancelled by amy")
        self.assert_clean()

    def test_disown(self) -> None:
        """
        A disowned upload sends nothing more, and leaves nothing.
        """
        self.machine.put("x", b"a" * 1_000_000)
        self.command.slow = True
        self.start(Upload("x"))
        self.successResultOf(self.link.disown(ID))
        self.command.answer()
        self.machine.settle()
        self.assertEqual(self.command.outcomes, [])
        self.assert_clean()

    def test_outcome_kept(self) -> None:
        """
        Invariant I4: a failure that was not committed is sent again by a new process.
        """
        self.command.commits = False
        self.start(Upload("x"))
        told = self.outcome
        self.machine.restart()
        self.relink()
        self.assertEqual(self.outcome, told)
        self.assert_clean()


class UploadDirectoryTests(TransferTests):
    def unpacked(self, stream: str = "artifact") -> dict[str, bytes]:
        """
        Return the files in the archive that arrived.
        """
        with tarfile.open(fileobj=io.BytesIO(bytes(self.command.streams[stream]))) as archive:
            found = {}
            for member in archive:
                contents = archive.extractfile(member)
                if contents is not None:
                    found[member.name] = contents.read()
            return found

    def test_upload(self) -> None:
        """
        A directory arrives as an archive, which is removed from the slave afterwards.
        """
        self.machine.put("b/docs/index.html", b"<html>")
        self.machine.put("b/docs/img/x", b"png")
        self.start(UploadDirectory("b/docs"))
        self.assertEqual(self.unpacked(), {"index.html": b"<html>", "img/x": b"png"})
        self.assertTrue(self.outcome.succeeded)
        self.assert_clean()

    def test_restarted_process(self) -> None:
        """
        A new process sends the archive that the former one packed, even if the directory has changed.
        """
        self.machine.put("b/x", b"1" * 100_000)
        self.command.slow = True
        self.start(UploadDirectory("b"))
        self.command.answer()
        self.machine.put("b/x", b"2")
        self.machine.restart()
        self.relink(artifact=len(self.command.streams["artifact"]))
        self.assertEqual(self.unpacked(), {"x": b"1" * 100_000})
        self.assert_clean()

    def test_lost_archive(self) -> None:
        """
        When the archive is missing after a restart, it is packed again, and sent as the next generation.
        """
        self.machine.put("b/x", b"1" * 100_000)
        self.command.slow = True
        self.start(UploadDirectory("b"))
        self.command.answer()
        os.unlink(os.path.join(self.machine.directory, "transfers", ID + ".tar"))
        self.machine.put("b/x", b"2")
        self.machine.restart()
        self.relink(artifact=len(self.command.streams["artifact"]))
        self.assertEqual(self.unpacked("artifact~1"), {"x": b"2"})
        self.assert_clean()

    def test_too_large(self) -> None:
        """
        A directory above the size limit is not sent.
        """
        self.machine.put("b/x", b"1" * 100_000)
        self.start(UploadDirectory("b", largest=10_000))
        self.assert_failed("more than 10000 bytes")

    def test_left_out(self) -> None:
        """
        Promise 6.22: a remark names the entries that an archive cannot contain, also when another process packed it.
        """
        self.machine.put("b/x", b"1" * 100_000)
        os.mkfifo(self.machine.path("b/pipe"))
        self.command.slow = True
        self.start(UploadDirectory("b"))
        self.machine.restart()
        self.command.slow = False
        self.relink()
        [remark] = self.outcome.remarks
        self.assertIn("Left out, because an archive can contain only files, directories and links: pipe.", remark.text)
        self.assertEqual([name for name, _ in self.machine.jobs], ["pack"])

    def test_missing(self) -> None:
        """
        A missing directory fails the step.
        """
        self.start(UploadDirectory("b"))
        self.assert_failed("'b': No such file or directory")


class DownloadTests(TransferTests):
    def download(self, data: bytes, path: str = "b/x", **others: object) -> Download:
        """
        Return the spec for *data*, which the master has.
        """
        self.command.sources["input"] = data
        digest = hashlib.sha256(data).hexdigest()
        return Download(path, "input", len(data), digest, **others)  # type: ignore[arg-type]  # of a Download

    def test_download(self) -> None:
        """
        A file is created with contents and permissions, and its parent directories with it.
        """
        data = os.urandom(3_000_000)
        self.start(self.download(data, mode=0o755))
        self.assertTrue(self.outcome.succeeded)
        self.assertEqual(self.machine.contents("b/x"), data)
        self.assertEqual(stat.S_IMODE(os.stat(self.machine.path("b/x")).st_mode), 0o755)
        self.assert_clean()

    def test_empty(self) -> None:
        """
        An empty file is created.
        """
        self.start(self.download(b""))
        self.assertEqual(self.machine.contents("b/x"), b"")

    def test_four_in_flight(self) -> None:
        """
        Several chunks are requested at once; the file is not visible before the last has arrived.
        """
        data = os.urandom(10 * downloads.CHUNK)
        self.command.slow = True
        self.machine.put("b/x", b"old")
        self.start(self.download(data))
        self.assertEqual(len(self.command.waiting), 4)
        for _ in range(10):
            self.assertEqual(self.machine.contents("b/x"), b"old")
            self.command.answer()
        self.machine.settle()
        self.assertEqual(self.machine.contents("b/x"), data)

    def test_blip(self) -> None:
        """
        Promise 7: after the loss of a link only the missing bytes are requested.
        """
        data = os.urandom(10 * downloads.CHUNK)
        self.command.slow = True
        self.start(self.download(data))
        self.command.answer(3)
        self.relink()
        self.assertEqual(self.command.reads[0][1], 3 * downloads.CHUNK)
        self.assertEqual(self.machine.contents("b/x"), data)
        self.assert_clean()

    def test_restarted_process(self) -> None:
        """
        Promise 7: a new process repeats the download, and removes the partial file.
        """
        data = os.urandom(10 * downloads.CHUNK)
        self.command.slow = True
        self.start(self.download(data))
        self.command.answer(3)
        self.machine.restart()
        self.relink()
        self.assertEqual(self.machine.contents("b/x"), data)
        self.assert_clean()

    def test_done_once(self) -> None:
        """
        A new process does not repeat a completed download; it only reports the outcome.
        """
        self.command.commits = False
        self.start(self.download(b"data"))
        os.unlink(self.machine.path("b/x"))
        self.machine.restart()
        self.relink()
        self.assertTrue(self.outcome.succeeded)
        self.assertFalse(os.path.exists(self.machine.path("b/x")))

    def test_other_checksum(self) -> None:
        """
        After a checksum mismatch the file is discarded, and the error names both checksums.
        """
        spec = self.download(b"expected")
        self.command.sources["input"] = b"tampered"
        self.machine.put("b/x", b"old")
        self.start(spec)
        self.assert_failed(spec.sha256)
        self.assertIn(hashlib.sha256(b"tampered").hexdigest(), self.outcome.sentence)
        self.assertEqual(self.machine.contents("b/x"), b"old")

    def test_too_short(self) -> None:
        """
        When the master has fewer bytes than it declared, the step fails with a sentence.
        """
        spec = self.download(b"expected")
        self.command.sources["input"] = b"exp"
        self.start(spec)
        self.assert_failed("3 bytes of 'input' where 8 were expected")

    def test_refused(self) -> None:
        """
        A refusal of the master fails the step with its sentence.
        """
        self.command.broken = NotFoundError("This command may not read 'input'.")
        self.start(self.download(b"data"))
        self.command.broken = None
        self.relink()
        self.assert_failed("may not read 'input'")

    def test_lost_link_is_no_failure(self) -> None:
        """
        A call that fails with its link does not fail the step.
        """
        self.command.broken = LinkLostError()
        self.start(self.download(b"data"))
        self.assertEqual(self.command.outcomes, [])
        self.command.broken = None
        self.relink()
        self.assertTrue(self.outcome.succeeded)

    def test_link_lost_at_the_end(self) -> None:
        """
        When the link is lost while the file is moved to its place, nothing is downloaded again.
        """
        self.machine.busy = True
        self.start(self.download(b"data"))
        self.relink()
        self.assertEqual(self.command.reads, [])
        self.machine.threads.pop()()
        self.machine.settle()
        self.assertTrue(self.outcome.succeeded)
        self.assertEqual(self.machine.contents("b/x"), b"data")
        self.assert_clean()

    def test_disown_waits(self) -> None:
        """
        Invariant I8: a disown is answered when the transfer has stopped and its files are removed.
        """
        self.machine.busy = True
        self.start(self.download(b"data"))
        disowning = self.link.disown(ID)
        self.assertNoResult(disowning)
        self.machine.threads.pop()()
        self.successResultOf(disowning)
        self.assertFalse(os.path.exists(self.machine.path("b/x")))
        self.assert_clean()

    def test_disk_full(self) -> None:
        """
        A download waits while the disk is full, and fails after ten minutes.
        """
        self.machine.settle()
        with mock.patch("os.pwrite", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.start(self.download(b"data"))
            for _ in range(LONGEST_DISK_WAIT - 1):
                self.machine.clock.advance(1)
            self.assertEqual(self.command.outcomes, [])
            self.machine.clock.advance(1)
            self.machine.settle()
        self.assert_failed("disk full")

    def test_nearly_full(self) -> None:
        """
        After a short write without an error, the rest of the data is written.
        """
        write = os.pwrite
        with mock.patch("os.pwrite", lambda fd, data, offset: write(fd, data[:3], offset)):
            self.start(self.download(b"more than that"))
            self.machine.settle()
        self.assertEqual(self.machine.contents("b/x"), b"more than that")

    def test_room_again(self) -> None:
        """
        A waiting download continues when there is space again.
        """
        with mock.patch("os.pwrite", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.start(self.download(b"data"))
            self.machine.clock.advance(1)
        self.machine.clock.advance(1)
        self.machine.settle()
        self.assertEqual(self.machine.contents("b/x"), b"data")

    def test_interrupt(self) -> None:
        """
        An interrupted download leaves nothing.
        """
        self.command.slow = True
        self.start(self.download(b"data"))
        self.successResultOf(self.link.interrupt(ID, "cancelled"))
        self.machine.settle()
        self.assertIs(self.outcome.ending, Ending.KILLED)
        self.assertFalse(os.path.exists(self.machine.path("b/x")))
        self.assert_clean()

    def test_unpack(self) -> None:
        """
        An archive is unpacked into its directory.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            entry = tarfile.TarInfo("hello-2.10/configure")
            entry.size = 2
            archive.addfile(entry, io.BytesIO(b"#!"))
        self.start(self.download(out.getvalue(), "b/src", unpack=True))
        self.assertTrue(self.outcome.succeeded)
        self.assertEqual(self.machine.contents("b/src/hello-2.10/configure"), b"#!")
        self.assert_clean()

    def test_unpack_bounds(self) -> None:
        """
        Promise 6.15: the spec's bounds on bytes, members and seconds are enforced; an archive beyond them leaves
        nothing.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for number in range(3):
                archive.addfile(tarfile.TarInfo(str(number)))
        self.start(self.download(out.getvalue(), "b", unpack=True, largest=1 << 20, members=2, max_time=5.0))
        self.assert_failed("more than 2 members")
        self.assertEqual([each for each in self.machine.jobs if each[0] != "discard"], [("unpack", 5.0)])
        self.assertFalse(os.path.exists(self.machine.path("b")))

    def test_unpack_is_stopped(self) -> None:
        """
        Promise 6.15: disowning kills the worker process that unpacks; its files are removed.
        """
        self.machine.busy = True
        self.start(self.download(b"some archive", "b", unpack=True))
        staged = os.path.join(self.machine.directory, "transfers", f"{ID}.tree")
        os.makedirs(os.path.join(staged, "left"))
        self.machine.busy = False
        self.successResultOf(self.link.disown(ID))
        self.assertEqual(self.machine.killed, 1)
        self.assertEqual(self.machine.jobs[-1], ("discard", None))
        self.assert_clean()

    def test_unpack_left_by_a_crash(self) -> None:
        """
        Files that an earlier process unpacked for a command that no master resumes are removed.
        """
        os.makedirs(os.path.join(self.machine.directory, "transfers", f"{ID}.tree", "left"))
        self.machine.restart()
        self.assert_clean()

    def test_unpack_nonsense(self) -> None:
        """
        A file that is no archive fails the step.
        """
        self.start(self.download(b"hello", "b/src", unpack=True))
        self.assert_failed("no tar archive")

    def test_outside(self) -> None:
        """
        A download is not written through a link that leaves the work directory.
        """
        outside = new_directory(self)
        os.symlink(outside, self.machine.path("b"))
        self.start(self.download(b"data"))
        self.assert_failed("leads out")
        self.assertEqual(os.listdir(outside), [])


class ClaimTests(TransferTests):
    def test_damaged_claim(self) -> None:
        """
        An unreadable claim is dropped, and the slave starts.
        """
        for name in ("x.json", "y.json.new", "z.json"):
            with open(os.path.join(self.machine.directory, "transfers", name), "w") as out:
                out.write('{"spec": 3}' if name[0] == "x" else "{")
        self.machine.restart()
        self.assert_clean()

    def test_leave(self) -> None:
        """
        A process that ends stops its transfers without reporting an outcome; the next process continues them.
        """
        self.machine.put("x", b"a" * 1_000_000)
        self.command.slow = True
        self.start(Upload("x"))
        self.machine.agent.leave()
        self.machine.settle()
        self.assertEqual(self.command.outcomes, [])
        self.machine.restart()
        self.relink()
        self.assertTrue(self.outcome.succeeded)
