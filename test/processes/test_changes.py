"""
Changes with real processes: a git repository whose pushes reach the master by a hook, and by polling.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from .farm import Farm, until
from .farm_case import FarmCase

CODEBASES = """
names = {{{app!r}: "app", {lib!r}: "lib"}}
c["codebaseGenerator"] = lambda change: names.get(change["repository"], "")
c["change_source"] += [changes.GitPoller(each, pollInterval=86400, pollAtLaunch=True) for each in names]
c["schedulers"] = [
    schedulers.AnyBranchScheduler(
        "both",
        ["product"],
        change_filter=util.ChangeFilter(codebase=["app", "lib"]),
        codebases={{name: {{"repository": each, "branch": "main"}} for each, name in names.items()}},
        createAbsoluteSourceStamps=True,
    )
]
"""
CLOCK = """
c["schedulers"] += [
    schedulers.Nightly("minutely", ["clocked"], minute="*"),
    schedulers.Periodic("periodic", ["clocked"], periodicBuildTimer=15),
]
"""
HOOK = "#!/bin/sh\nexec flappclient --furlfile {furl} run-command\n"


class ChangesTests(FarmCase):
    """
    Promises 8.1 and 8.2: changes become builds.
    """

    bare: Path
    polled: Path
    work: Path
    app: Path
    lib: Path

    @classmethod
    def make(cls) -> Farm:
        """
        A master with pollers that rarely poll by themselves, a slave, and four bare repositories.
        """
        farm = Farm()
        cls.bare, cls.polled = farm.directory / "bare.git", farm.directory / "polled.git"
        cls.work = farm.directory / "work"
        cls.app, cls.lib = farm.directory / "app.git", farm.directory / "lib.git"
        farm.config(
            f"c['change_source'] = [changes.GitPoller({str(cls.polled)!r}, branches=True, pollInterval=86400, "
            "pollAtLaunch=True, project='polled')]\n" + CODEBASES.format(app=str(cls.app), lib=str(cls.lib))
        )
        farm.builder(
            "product",
            f"steps.Git({str(cls.app)!r}, codebase='app', workdir='app')",
            f"steps.Git({str(cls.lib)!r}, codebase='lib', workdir='lib')",
            "echo $(git -C ../app rev-parse HEAD) $(git -C ../lib rev-parse HEAD) >> $WITNESS/product",
            submit=None,
        )
        return farm.builder("clocked", "echo built >> $WITNESS/clocked", submit=None).config(CLOCK)

    @classmethod
    def begin(cls) -> None:
        """
        Make the repositories, and start the master.
        """
        for repository in (cls.bare, cls.polled, cls.app, cls.lib):
            cls.git("init", "-q", "--bare", "-b", "main", str(repository), where=cls.farm.directory)
        for work in (cls.work, cls.app.with_suffix(".work"), cls.lib.with_suffix(".work")):
            cls.git("init", "-q", "-b", "main", str(work), where=cls.farm.directory)
        cls.commit("first")
        cls.git("push", "-q", str(cls.polled), "main")
        cls.push("first-app", cls.app)
        cls.push("first-lib", cls.lib)
        super().begin()

    @classmethod
    def git(cls, *words: str, where: Path | None = None) -> str:
        """
        Return the output of git, standard and error.
        """
        names = {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@x",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@x",
        }
        done = subprocess.run(
            ["git", *words],
            cwd=where or cls.work,
            env={**cls.farm.env, **names},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        return done.stdout.decode()

    @classmethod
    def commit(cls, name: str, where: Path | None = None) -> str:
        """
        Commit a file of that name; returns the revision.
        """
        ((where or cls.work) / name).write_text(name)
        cls.git("add", ".", where=where)
        cls.git("commit", "-q", "-m", f"add {name}", where=where)
        return cls.git("rev-parse", "HEAD", where=where).strip()

    @classmethod
    def push(cls, name: str, repository: Path) -> str:
        """
        Commit a file of that name in the work directory of *repository*, and push it; returns the revision.
        """
        work = repository.with_suffix(".work")
        revision = cls.commit(name, work)
        cls.git("push", "-q", str(repository), "main", where=work)
        return revision

    def command(self, *words: str, stdin: bytes | None = None) -> str:
        """
        Return the output of ``buildbot-lite``, which must succeed.
        """
        done = self.farm.command("-C", str(self.farm.master_directory), *words, stdin=stdin)
        self.assertEqual(done.code, 0, done.err)
        return done.out.decode()

    def changes(self) -> list[dict[str, Any]]:
        """
        All changes, oldest first.
        """
        found: list[dict[str, Any]] = json.loads(self.command("changes", "--most", "1000", "--json"))
        return found[::-1]

    def change_with(self, revision: str) -> dict[str, Any]:
        """
        Wait for the change of *revision*, and return it.
        """

        def look() -> list[dict[str, Any]]:
            return [each for each in self.changes() if each["revision"] == revision]

        return until(look, "the change")[0]

    def source(self, repository: Path | None = None) -> dict[str, Any]:
        """
        Return the poller of *repository* from the status.
        """
        found: list[dict[str, Any]] = json.loads(self.command("status", "--json"))["change_sources"]
        return next(each for each in found if each["name"] == str(repository or self.polled))

    def hook(self, repository: Path, *options: str) -> None:
        """
        Install a post-receive hook in *repository*, with a string of its own.
        """
        furl = self.farm.directory / f"{repository.name}.furl"
        given = self.command("grant", "change", str(repository), *options)
        with open(os.open(furl, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(given)
        self.addCleanup(furl.unlink)
        script = repository / "hooks" / "post-receive"
        script.parent.mkdir(exist_ok=True)
        script.write_text(HOOK.format(furl=furl))
        script.chmod(0o755)

    def test_hook(self) -> None:
        """
        Promise 8.1: a hook of one line with stock flappclient records the pushed commits, and its output reaches the
        user who pushes; references outside of the string's right are left out.
        """
        self.hook(self.bare, "--branch", "main", "--branch", "rel/*", "--project", "p", "--label", "bare")
        new = self.commit("hooked")
        said = self.git("push", str(self.bare), "main", "main:refs/heads/secret", "main:refs/heads/rel/1")

        self.assertIn(f"main {new}", said)
        self.assertIn("this string is not for secret, which is left out", said)
        found = [each for each in self.changes() if each["source"] == "bare"]
        self.assertEqual(
            sorted((each["branch"], each["revision"], each["project"], each["repository"]) for each in found),
            [("main", new, "p", str(self.bare)), ("rel/1", new, "p", str(self.bare))],
        )
        self.assertIn("bare", self.command("changes"))

    def test_poller(self) -> None:
        """
        Promise 8.1: for a polled repository, a hook wakes the poller, and the changes have authors and files.  A push
        while the master is down is found after it was killed and started again.
        """
        until(lambda: self.source()["polled"], "the first poll")
        self.hook(self.polled)
        new = self.commit("polled")
        self.assertIn("polls now", self.git("push", str(self.polled), "main"))
        change = self.change_with(new)
        self.assertEqual((change["author"], change["files"], change["comments"]), ("A <a@x>", ["polled"], "add polled"))
        self.assertEqual((change["project"], change["branch"]), ("polled", "main"))

        self.farm.master.kill()
        (self.polled / "hooks" / "post-receive").unlink()
        later = self.commit("later")
        self.git("push", str(self.polled), "main", "main:refs/heads/new")
        self.farm.master.start()
        until(lambda: {"main", "new"} == self.branches_of(later), "both changes")
        self.assertEqual(len([each for each in self.changes() if each["revision"] == new]), 1)

    def test_codebases(self) -> None:
        """
        Promise 8.2: two repositories, each with a poller, are the codebases of one scheduler, distinguished by
        codebaseGenerator.  A build checks out the revision of its change, and of the other repository the last revision
        seen at that time.
        """
        until(lambda: self.source(self.app)["polled"] and self.source(self.lib)["polled"], "the first polls")
        self.hook(self.app)
        self.hook(self.lib)
        first_app = self.git("rev-parse", "main", where=self.app).strip()
        lib = self.push("lib-2", self.lib)
        until(lambda: len(self.farm.witnessed("product")) == 1, "a build of the library's change")
        (self.lib / "hooks" / "post-receive").unlink()
        unseen = self.push("lib-3", self.lib)
        app = self.push("app-2", self.app)
        until(lambda: len(self.farm.witnessed("product")) == 2, "a build of the application's change")

        self.assertEqual(self.farm.witnessed("product"), [f"{first_app} {lib}", f"{app} {lib}"])
        self.assertEqual(
            [(each["codebase"], each["revision"]) for each in self.changes() if each["codebase"] in ("app", "lib")],
            [("lib", lib), ("app", app)],
        )
        self.assertNotEqual(unseen, lib)

    def branches_of(self, revision: str) -> set[str]:
        """
        The branches on which *revision* is a change.
        """
        return {each["branch"] for each in self.changes() if each["revision"] == revision}

    def test_unreachable(self) -> None:
        """
        Promise 8.1: the status has the reason why a repository cannot be polled, and the time of the next attempt;
        changes made in between are found.
        """
        until(lambda: self.source()["polled"], "the first poll")
        away = self.polled.with_suffix(".away")
        self.polled.rename(away)
        self.farm.master.stop()
        self.farm.master.start()
        error = until(lambda: self.source()["error"], "the error")
        self.assertIn("git could not read", error)
        self.assertIn("git could not read", self.command("status"))
        self.assertIsNotNone(self.source()["next"])
        away.rename(self.polled)
        new = self.commit("back")
        self.git("push", str(self.polled), "main")
        self.farm.master.stop()
        self.farm.master.start()

        self.assertEqual(self.change_with(new)["branch"], "main")
        self.assertIsNone(self.source()["error"])

    def test_sendchange(self) -> None:
        """
        Promise 8.1: sendchange takes Buildbot's options; the same change twice is one.
        """
        words = [
            "sendchange", "--who", "W <w@x>", "--branch", "br", "--revision", "r7", "--repository", "rep",
            "--project", "p", "--codebase", "cb", "--category", "cat", "--property", "k:=v", "--when", "1000000000",
            "--revlink", "https://x/", "--logfile", "-", "src/a.c", "b\x1b[31m",
        ]  # fmt: skip
        self.assertRegex(self.command(*words, stdin="häl\nlo".encode()), r"^Recorded as change \d+\.\n$")
        self.assertEqual(self.command(*words, stdin=b"x"), "This change was recorded before.\n")
        change = next(each for each in self.changes() if each["source"] == "sendchange")

        self.assertEqual(
            [
                change[name]
                for name in ("author", "branch", "revision", "repository", "project", "codebase", "category")
            ],
            ["W <w@x>", "br", "r7", "rep", "p", "cb", "cat"],
        )
        self.assertEqual((change["files"], change["comments"]), (["src/a.c", "b\x1b[31m"], "häl\nlo"))
        self.assertEqual((change["when"], change["properties"]), (1e9, {"k:": ["v", "Change"]}))
        self.assertNotIn("\x1b", self.command("changes"))

    def test_the_clock(self) -> None:
        """
        Promise 8.2: by the real clock, a Nightly starts a build at each minute that it names, and a Periodic one at
        once and after each period; neither fires twice, although other tests kill and restart the master.
        """

        # The last test of the class, so that the minute has mostly passed when it begins.
        def fired(scheduler: str) -> list[float]:
            rows = self.farm.rows("select submitted from buildsets where scheduler = ? order by id", scheduler)
            return [submitted for (submitted,) in rows]

        until(lambda: fired("minutely") and len(fired("periodic")) > 2, "a minute, and two periods")
        until(lambda: self.farm.witnessed("clocked"), "a build")

        minutes = [int(submitted // 60) for submitted in fired("minutely")]
        self.assertEqual(minutes, sorted(set(minutes)))
        listed = {each["scheduler"]: each["next"] for each in json.loads(self.command("schedulers", "--json"))}
        self.assertTrue(listed["minutely"] and listed["periodic"], listed)
