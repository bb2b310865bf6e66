"""
Steps that transfer files, set properties, make directories and trigger builds.
"""

import hashlib
import os
import shutil
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, UnsafePathError
from buildbot_lite.master.steps import (
    BuildStep,
    DirectoryUpload,
    FileDownload,
    FileUpload,
    MakeDirectory,
    RemoveDirectory,
    SetProperties,
    SetProperty,
    StringDownload,
    SubmittedFile,
    Trigger,
    Unpack,
)
from buildbot_lite.master.steps.master_paths import absolute
from buildbot_lite.model.interpolation import Interpolate
from buildbot_lite.model.rendering import Property
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import (
    Download,
    Run,
    Upload,
    UploadDirectory,
)
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import (
    command,
    replay,
    run,
)

from .configurations import sentences_in
from .local_machine import LocalMachine


class UploadTests(SynchronousTestCase):
    def test_file(self) -> None:
        """
        FileUpload makes an artifact of a file.
        """
        step = FileUpload(slavesrc="out/app.tar", masterdest="app-1.tar", maxsize=1000)
        ran = replay(step, command("upload build/out/app.tar").uploads(b"\0\xff"))
        self.assertEqual((ran.result, ran.artifacts, ran.logs), (Result.SUCCESS, {"app-1.tar": b"\0\xff"}, {}))
        self.assertEqual(ran.asked[0].spec, Upload("test/build/out/app.tar", 1000))

    def test_workersrc(self) -> None:
        """
        Buildbot's workersrc, and its arguments without a meaning here, are accepted.
        """
        step = FileUpload(workersrc="a", masterdest="b", workdir="x", blocksize=1, mode=0o644, keepstamp=True)
        self.assertEqual(run(step).commands, ["upload x/a"])

    def test_directory(self) -> None:
        """
        DirectoryUpload makes a tar archive of a directory, with that suffix.
        """
        step = DirectoryUpload(slavesrc="html", masterdest="docs")
        ran = replay(step, command("upload-directory build/html").uploads(b"tar"))
        self.assertEqual(ran.artifacts, {"docs.tar": b"tar"})
        self.assertEqual(ran.asked[0].spec, UploadDirectory("test/build/html"))
        self.assertEqual(
            run(DirectoryUpload(slavesrc=".", masterdest="a.tar"), command().uploads(b"")).artifacts, {"a.tar": b""}
        )

    def test_failed(self) -> None:
        """
        A failed upload is FAILURE with the slave's sentence, and ends the build.
        """
        step = FileUpload(slavesrc="a", masterdest="b")
        ran = run(step, command().fails("a changed while it was uploaded"))
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "a changed while it was uploaded"))
        self.assertTrue(step.haltOnFailure)

    def test_unsafe(self) -> None:
        """
        Absolute paths and paths with ".." are refused, also when they come from a property.
        """
        for path in ("a/../../x", "", ".", "a/", "a\0b"):
            for arguments in ({"slavesrc": path, "masterdest": "a"}, {"slavesrc": "a", "masterdest": path}):
                error = self.assertRaises(ConfigError, FileUpload, **arguments)
                self.assertIn("relative path", str(error))
        self.assertRaises(ConfigError, FileUpload, slavesrc="/etc/passwd", masterdest="a")
        ran = run(FileUpload(slavesrc="a", masterdest=Property("p")), properties={"p": "a/../../evil"})
        self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))
        self.assertIn("masterdest must be a relative path", ran.summary)

    def test_beside(self) -> None:
        """
        Promise 8.6: a file on the slave may be in another directory of its work, where the configuration says so.
        """
        for given, path in (("../dist/a", "test/dist/a"), ("../../other/a", "other/a")):
            ran = run(FileUpload(slavesrc=given, masterdest="a"), command().uploads(b""))
            self.assertEqual(ran.asked[0].spec, Upload(path))
        for refused in ("../../../a", Property("p")):
            ran = run(FileUpload(slavesrc=refused, masterdest="a"), properties={"p": "../a"})
            self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))

    def test_absolute_on_slave(self) -> None:
        """
        Promise 8.6: an absolute path on the slave, or one in its user's home, is refused with what to do instead.
        """
        for make in (
            lambda path: FileUpload(path, "a"),
            lambda path: DirectoryUpload(path, "a"),
            lambda path: steps.MultipleFileUpload([path], "a"),
            lambda path: FileDownload("a", path),
            lambda path: StringDownload("a", path),
            steps.MakeDirectory,
            steps.RemoveDirectory,
        ):
            for path in ("/home/x/a", "~/a"):
                with self.assertRaisesRegex(ConfigError, "a ShellCommand can copy from and to other places"):
                    make(path)

    def test_elsewhere(self) -> None:
        """
        Promise 8.6: a masterdest that leads outside: the file is an artifact, and a copy of it goes there.
        """
        home = os.path.expanduser("~")
        with self.assertRaisesRegex(UnsafePathError, "a user whom this machine does not have"):
            absolute("~nouser/x", "/farm")
        for given, artifact, path in (
            ("/srv/www/a.tar", "srv/www/a.tar", "/srv/www/a.tar"),
            ("~/dist/a.tar", "dist/a.tar", f"{home}/dist/a.tar"),
            ("../archive/a.tar", "archive/a.tar", "/farms/archive/a.tar"),
            ("../../archive/a.tar", "archive/a.tar", "/archive/a.tar"),
            (Interpolate("/srv/%(prop:p)s/a.tar"), "srv/v1/x/a.tar", "/srv/v1/x/a.tar"),
            (Interpolate("../app-%(prop:p)s"), "app-v1/x", "/farms/app-v1/x"),
            (util.WithProperties("/srv/100%%/%s", "p"), "srv/100%/v1/x", "/srv/100%/v1/x"),
        ):
            with self.subTest(path):
                step = FileUpload(slavesrc="a", masterdest=given)
                ran = replay(step, command().uploads(b"x"), properties={"p": "v1/x"}, master_directory="/farms/farm")
                self.assertEqual(
                    (ran.result, ran.artifacts, ran.published), (Result.SUCCESS, {artifact: b"x"}, {path: artifact})
                )

    def test_no_property_leads_elsewhere(self) -> None:
        """
        Promise 8.6: a property decides neither that a path leads outside, nor to which first name, nor where it goes on
        from there.
        """
        for given, value in (
            (Property("p"), "/etc/cron.d/x"),
            (Property("p"), "../x"),
            (Property("p"), "~/x"),
            (Interpolate("%(prop:p)s/x"), "/etc"),
            (Interpolate("../x%(prop:p)s"), "/../../x"),
            (Interpolate("../.%(prop:p)s"), "./x"),
            (Interpolate("/srv/%(prop:p)s/x"), ".."),
            (Interpolate("/srv/%(prop:p)s/x"), "a/../../etc"),
            (Interpolate("/srv/%(prop:p)s"), "a\nb"),
            (Interpolate("/srv/%(prop:p)s"), "x/"),
        ):
            with self.subTest(value, given=given):
                ran = run(FileUpload(slavesrc="a", masterdest=given), properties={"p": value})
                self.assertEqual((ran.result, ran.commands, ran.published), (Result.EXCEPTION, [], {}))
        given = Interpolate("../x%(prop:p)s")
        for step in (
            FileDownload(mastersrc=given, slavedest="a"),
            steps.MasterShellCommand(command="true", workdir=given),
            steps.MultipleFileUpload(slavesrcs=["a"], masterdest=given),
            steps.MasterShellCommand(command="true", workdir=Property("p")),
            steps.MultipleFileUpload(slavesrcs=["a"], masterdest=Property("p")),
        ):
            for value in ("/../x", "/../../x"):
                ran = run(step, properties={"p": value})
                self.assertEqual((step.name, ran.result, ran.commands), (step.name, Result.EXCEPTION, []))

    def test_beginnings(self) -> None:
        """
        Promise 8.6: a text that begins as no build would accept it is a mistake of the configuration, and not first one
        of each build.
        """
        for make in (
            lambda: FileUpload(slavesrc=Interpolate("/tmp/%(prop:p)s"), masterdest="a"),
            lambda: FileUpload(slavesrc="a", masterdest=Interpolate("/%(prop:p)s")),
            lambda: FileUpload(slavesrc=Interpolate("../%(prop:p)s"), masterdest="a"),
            lambda: RemoveDirectory(dir=Interpolate("/srv/%(prop:p)s")),
            lambda: steps.ShellCommand(command="x", workdir=Interpolate("/%(prop:p)s")),
        ):
            self.assertRaises(ConfigError, make)
        FileUpload(slavesrc=Interpolate("../a%(prop:p)s/x"), masterdest=Interpolate("a/%(prop:p)s"))

    def test_several_elsewhere(self) -> None:
        """
        Promise 8.6: MultipleFileUpload copies files, and the contents of directories; so does DirectoryUpload.
        """
        listed = command().exits(0, "x/a\n")
        step = steps.MultipleFileUpload(slavesrcs=["x/a"], masterdest="/srv/www/", mode=0o640)
        ran = replay(step, listed, command().uploads(b"1"))
        self.assertEqual((ran.artifacts, ran.published), ({"srv/www/a": b"1"}, {"/srv/www/a": "srv/www/a"}))
        step = steps.MultipleFileUpload(slavesrcs=["./x/"], masterdest="/srv/www/")
        ran = replay(step, command().exits(0, "x/\n"), command().uploads(b"tar"))
        self.assertEqual((ran.artifacts, ran.published), ({"srv/www/x.tar": b"tar"}, {"/srv/www/x": "srv/www/x.tar"}))
        ran = replay(DirectoryUpload(slavesrc="html", masterdest="../www/html/"), command().uploads(b"tar"))
        self.assertEqual((ran.artifacts, list(ran.published.values())), ({"www/html.tar": b"tar"}, ["www/html.tar"]))

    def test_lying_list(self) -> None:
        """
        Promise 8.6: a slave that lists other files than MultipleFileUpload asks for sends none.
        """
        step = steps.MultipleFileUpload(slavesrcs=["x/a"], masterdest="/srv/www")
        for listed in ("x/a\nx/index.html\n", "x/\n", "a\n", "./\n"):
            ran = run(step, command().exits(0, listed))
            self.assertEqual((ran.result, ran.artifacts, ran.published), (Result.FAILURE, {}, {}))
            self.assertIn("is not among the slavesrcs", ran.summary)

    def test_wrong_mode(self) -> None:
        """
        A mode that is no mode is told before anything is sent: when the configuration is loaded, or, of a property,
        in the build.
        """
        for mode, wanted in ((775, "the permission bits 0o775"), ("'0644'", "the permission bits 0o644"), (-1, "perm")):
            found = sentences_in(f"from buildbot_lite.plugins import steps\nsteps.FileUpload('a', 'b', mode={mode})\n")
            self.assertIn(f"FileUpload: mode must be {wanted}", found[0])
        ran = run(FileUpload(slavesrc="a", masterdest="/srv/a", mode=Property("m")), properties={"m": 775})
        self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))

    def test_name_must_be_utf8(self) -> None:
        """
        An artifact's name must be valid UTF-8; a file's name on the slave need not be.
        """
        odd = {"p": "a\udcffb"}
        for step in (FileUpload(slavesrc="a", masterdest=Property("p")), DirectoryUpload("a", Property("p"))):
            ran = run(step, properties=odd)
            self.assertEqual((ran.result, ran.commands), (Result.EXCEPTION, []))
            self.assertIn("masterdest must be text that can be written as UTF-8", ran.summary)
        self.assertEqual(run(FileUpload(Property("p"), "b"), properties=odd).result, Result.SUCCESS)


class FileDownloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        with open(os.path.join(self.directory, "config"), "wb") as file:
            file.write(b"\0contents")

    def test_relative(self) -> None:
        """
        FileDownload sends a file of the master's directory, with its checksum.
        """
        step = FileDownload(mastersrc="config", slavedest="etc/config", mode=0o600)
        ran = replay(step, command("download build/etc/config"), master_directory=self.directory)
        self.assertEqual(ran.result, Result.SUCCESS)
        sha256 = hashlib.sha256(b"\0contents").hexdigest()
        self.assertEqual(ran.asked[0].spec, Download("test/build/etc/config", "file", 9, sha256, 0o600))
        self.assertEqual(ran.asked[0].read, b"\0contents")

    def test_absolute(self) -> None:
        """
        FileDownload sends any other file on the master by its absolute path.
        """
        ran = run(FileDownload(mastersrc=os.path.join(self.directory, "config"), workerdest="x"))
        self.assertEqual(ran.asked[0].read, b"\0contents")

    def test_class_attribute(self) -> None:
        """
        A path that a class derived from FileDownload has leads outside by the text in master.cfg.
        """

        class Sends(FileDownload):
            mastersrc = "../config"

        ran = run(Sends(slavedest="x"), master_directory=os.path.join(self.directory, "farm"))
        self.assertEqual((ran.result, ran.asked[0].read), (Result.SUCCESS, b"\0contents"))

    def test_impossible(self) -> None:
        """
        A missing file, a directory, a pipe and a file larger than maxsize are failures with one sentence, and the slave
        gets no command.
        """
        os.mkfifo(os.path.join(self.directory, "pipe"))
        for name, words in {
            "gone": "No such file",
            ".": "not a regular file",
            "pipe": "not a regular file",
            "config": "maxsize allows 5",
        }.items():
            step = FileDownload(mastersrc=name, slavedest="x", maxsize=5)
            ran = run(step, master_directory=self.directory)
            self.assertEqual((ran.result, ran.commands), (Result.FAILURE, []))
            self.assertIn(words, ran.summary)

    def test_path_with_dots(self) -> None:
        """
        A property cannot lead to another file with "..".
        """
        step = FileDownload(mastersrc=Interpolate("files/%(prop:p)s"), slavedest="x")
        ran = run(step, properties={"p": "../../private/tub.pem"}, master_directory=self.directory)
        self.assertEqual(ran.commands, [])
        self.assertIn("'..' only at its beginning", ran.summary)

    def test_changed(self) -> None:
        """
        A file that changes after its checksum was made does not arrive.
        """
        path = os.path.join(self.directory, "config")

        class Changed(FileDownload):
            async def do(self, *args: Any, **kwargs: Any) -> Any:
                os.truncate(path, 3)
                return await super().do(*args, **kwargs)

        ran = run(Changed(mastersrc=path, slavedest="x"))
        self.assertEqual(ran.result, Result.FAILURE)

    def test_large(self) -> None:
        """
        The checksum of a file of several blocks covers all of them.
        """
        path = os.path.join(self.directory, "large")
        with open(path, "wb") as file:
            file.write(b"0123456789" * 300_000)
        ran = run(FileDownload(mastersrc=path, slavedest="x"))
        self.assertEqual((ran.result, len(ran.asked[0].read)), (Result.SUCCESS, 3_000_000))


class StringDownloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.machine = LocalMachine(directory, secrets={"token": "hunter22"})

    def test_text(self) -> None:
        """
        StringDownload makes a file of a rendered text.
        """
        step = StringDownload(s=Interpolate("branch=%(prop:b)s é\n"), slavedest="conf/x")
        ran = replay(step, command("download build/conf/x"), properties={"b": "main"})
        self.assertEqual((ran.result, ran.asked[0].read.decode()), (Result.SUCCESS, "branch=main é\n"))
        self.machine.view.properties.set("b", "main")
        self.assertEqual(self.machine.run(step), Result.SUCCESS)
        self.assertEqual(os.stat(self.machine.path("build", "conf", "x")).st_mode & 0o777, 0o644)

    def test_secret(self) -> None:
        """
        Secrets in the text are inserted on the slave; the records have neither the values nor the text's length or
        checksum.
        """
        step = StringDownload(s=Interpolate("token=%(secret:token)s\n"), slavedest="deep/-x y")
        self.assertEqual(self.machine.run(step), Result.SUCCESS, self.machine.output)
        self.assertEqual(self.machine.text("build", "deep", "-x y"), "token=hunter22\n")
        self.assertEqual(os.stat(self.machine.path("build", "deep", "-x y")).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.machine.path("build", "deep")), ["-x y"])
        [spec] = self.machine.specs
        self.assertIsInstance(spec, Run)
        self.assertNotIn("hunter22", repr(spec))

    def test_secret_through_links(self) -> None:
        """
        Promise 6.16: links that a patch created are replaced, not followed, whatever their name and target.
        """
        outside = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, outside)
        tac = os.path.join(outside, "slave.tac")
        with open(tac, "w") as out:
            out.write("precious")
        os.makedirs(self.machine.path("build"))
        for name in ("conf", "conf.part"):
            os.symlink(tac, self.machine.path("build", name))
        os.symlink(outside, self.machine.path("build", "directory"))
        for name in ("conf", "directory"):
            step = StringDownload(s=Interpolate("%(secret:token)s"), slavedest=name)
            self.assertEqual(self.machine.run(step), Result.SUCCESS, self.machine.output)
            self.assertEqual(self.machine.text("build", name), "hunter22")
            self.assertFalse(os.path.islink(self.machine.path("build", name)))
        self.assertEqual(sorted(os.listdir(self.machine.path("build"))), ["conf", "conf.part", "directory"])
        self.assertEqual(os.listdir(outside), ["slave.tac"])
        with open(tac) as kept:
            self.assertEqual(kept.read(), "precious")

    def test_secret_over_a_directory(self) -> None:
        """
        If the destination is a directory, the step fails and leaves no file.
        """
        os.makedirs(self.machine.path("build", "conf"))
        step = StringDownload(s=Interpolate("%(secret:token)s"), slavedest="conf")
        self.assertEqual(self.machine.run(step), Result.FAILURE)
        self.assertIn("conf is a directory", self.machine.output)
        self.assertEqual(os.listdir(self.machine.path("build")), ["conf"])
        self.assertEqual(os.listdir(self.machine.path("build", "conf")), [])

    def test_secret_mode(self) -> None:
        """
        A given mode is the file's mode.
        """
        step = StringDownload(s=Interpolate("%(secret:token)s"), slavedest="x", mode=0o640)
        self.assertEqual(self.machine.run(step), Result.SUCCESS, self.machine.output)
        self.assertEqual(os.stat(self.machine.path("build", "x")).st_mode & 0o777, 0o640)


class SubmittedInputTests(SynchronousTestCase):
    def test_file(self) -> None:
        """
        SubmittedFile makes a file of the submitted input.
        """
        step = SubmittedFile(slavedest="in.tar.gz")
        for name in ("tar", "file"):
            ran = replay(step, command("download build/in.tar.gz"), inputs={name: b"bytes"})
            self.assertEqual((ran.result, ran.asked[0].read), (Result.SUCCESS, b"bytes"))

    def test_unpack(self) -> None:
        """
        Unpack unpacks a submitted archive into the build directory or another.
        """
        ran = replay(Unpack(), command("download build"), inputs={"file": b"bytes"})
        spec = ran.asked[0].spec
        assert isinstance(spec, Download)
        self.assertEqual((spec.path, spec.unpack), ("test/build", True))
        self.assertEqual(run(Unpack(slavedest="src"), inputs={"tar": b""}).commands, ["download build/src"])

    def test_nothing(self) -> None:
        """
        Without a submitted input, the step is a FAILURE that says how to submit one.
        """
        for step in (SubmittedFile(slavedest="x"), Unpack(), Unpack(input="file")):
            ran = run(step, inputs={"patch": b"x"})
            self.assertEqual((ran.result, ran.commands), (Result.FAILURE, []))
            self.assertIn("was submitted", ran.summary)


class DirectoryTests(SynchronousTestCase):
    def test_both(self) -> None:
        """
        Directories are relative to the builder's directory.
        """
        self.assertEqual(replay(MakeDirectory(dir="build/out"), command("mkdir build/out")).result, Result.SUCCESS)
        self.assertEqual(replay(RemoveDirectory(dir="build"), command("rmdir build")).result, Result.SUCCESS)

    def test_failed(self) -> None:
        """
        A failed command is FAILURE with the slave's sentence.
        """
        ran = run(MakeDirectory(dir="x"), command().fails("x is a file"))
        self.assertEqual((ran.result, ran.summary), (Result.FAILURE, "x is a file"))


class PropertyTests(SynchronousTestCase):
    def test_one(self) -> None:
        """
        SetProperty sets one property to a rendered value, which may be None, False or a list.
        """
        ran = replay(SetProperty(property="a", value=Interpolate("%(prop:b)s!")), properties={"b": "x"})
        self.assertEqual(ran.properties["a"], "x!")
        for value in (None, False, 0, "", ["a", {"b": 1}]):
            self.assertEqual(run(SetProperty(property="a", value=value)).properties, {"a": value})

    def test_several(self) -> None:
        """
        SetProperties sets several properties.
        """
        ran = replay(SetProperties(properties={"a": 1, "b": Property("c")}), properties={"c": 2})
        self.assertEqual(ran.properties, {"a": 1, "b": 2, "c": 2})

    def test_impossible(self) -> None:
        """
        A value that cannot be a property's is an EXCEPTION with a sentence.
        """
        ran = run(SetProperty(property="a", value=object()))
        self.assertEqual(ran.result, Result.EXCEPTION)
        self.assertIn("'a'", ran.summary)


class TriggerTests(SynchronousTestCase):
    def test_started(self) -> None:
        """
        Without waitForFinish, Trigger ends at once; it sets and copies properties.
        """
        step = Trigger(
            schedulerNames=["docs", "packages"],
            set_properties={"revision": Property("got_revision")},
            copy_properties=["branch", "missing"],
        )
        ran = replay(
            step,
            properties={"got_revision": "abc", "branch": "main", "secretive": 1},
            triggers={"docs": Result.FAILURE, "packages": Result.SUCCESS},
        )
        properties = {"revision": "abc", "branch": "main"}
        self.assertEqual(ran.result, Result.SUCCESS)
        self.assertEqual(ran.triggered, (("docs", properties), ("packages", properties)))

    def test_waited_for(self) -> None:
        """
        With waitForFinish, the result is the worst result of the important builds.
        """
        for result, expected in (
            (Result.SUCCESS, Result.SUCCESS),
            (Result.WARNINGS, Result.WARNINGS),
            (Result.FAILURE, Result.FAILURE),
            (Result.RETRY, Result.EXCEPTION),
        ):
            triggers = {"a": Result.SUCCESS, "b": result, "c": Result.EXCEPTION}
            step = Trigger(schedulerNames=["a", "b", "c"], waitForFinish=True, unimportantSchedulerNames=["c"])
            ran = replay(step, triggers=triggers)
            self.assertEqual(ran.result, expected)
            self.assertIn(f"b: {result.name.lower()}", ran.summary)

    def test_mistakes(self) -> None:
        """
        Trigger needs a list of at least one scheduler's name.
        """
        self.assertRaises(ConfigError, Trigger)
        self.assertRaises(ConfigError, Trigger, schedulerNames=[])
        self.assertRaises(ConfigError, Trigger, schedulerNames="docs")
        self.assertRaises(ConfigError, Trigger, schedulerNames=["a"], unimportantSchedulerNames=["b"])


class ConditionTests(SynchronousTestCase):
    def test_skipped(self) -> None:
        """
        A step whose doStepIf is false, a function that returns false, or a missing property is skipped.
        """
        for condition in (False, lambda step: step.getProperty("branch") == "main", Property("no")):
            step: BuildStep = MakeDirectory(dir="x", doStepIf=condition)
            ran = run(step, command("mkdir x"), properties={"branch": "other"})
            self.assertEqual((ran.result, ran.commands), (Result.SKIPPED, []))

    def test_hidden(self) -> None:
        """
        A step whose hideStepIf is true, or a function that returns true, is hidden.
        """
        self.assertTrue(run(MakeDirectory(dir="x", hideStepIf=True)).hidden)
        step = MakeDirectory(dir="x", hideStepIf=lambda result, step: result == Result.FAILURE)
        self.assertFalse(run(step).hidden)
        self.assertTrue(run(step, command().fails("no")).hidden)
