"""
The program that runs after a public repository has changed.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.signing.repo_script import run_repo_script


class RepoScriptTests(SynchronousTestCase):
    """
    ``repo_script``.
    """

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def run_script(self, text: str, *, mode: int = 0o755, seconds: float = 60.0) -> None:
        script = self.directory / "push.sh"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(mode)
        run_repo_script(
            "push.sh",
            basedir=str(self.directory),
            environment={"TARGET": "f4"},
            unwanted=Event(),
            seconds=seconds,
        )

    def test_runs(self) -> None:
        """
        Promise 9.7: the script runs in the master's directory, with variables that name the target and the job.
        """
        self.run_script('echo "$TARGET $PWD" > said')
        self.assertEqual((self.directory / "said").read_text(), f"f4 {self.directory}\n")

    def test_fails(self) -> None:
        """
        Promise 9.7: a script that fails, cannot be run, hangs or prints too much is one sentence with its last words.
        """
        for text, more, sentence in [
            ("echo first >&2; echo the server is down. >&2; exit 3", {}, "exit code 3: the server is down."),
            ("echo on standard output; exit 1", {}, "exit code 1: on standard output."),
            ("exit 1", {}, "failed with exit code 1."),
            ("true", {"mode": 0o644}, "cannot be run: Permission denied."),
            ("while :; do sleep 1; done", {"seconds": 0.2}, "did not end within 0 s."),
            ("exec yes", {}, "it printed more than 1048576 bytes."),
        ]:
            error = self.assertRaises(InputError, self.run_script, text, **more)  # type: ignore[arg-type]  # of both
            self.assertTrue(str(error).startswith("The packages are public, but the repo_script"), str(error))
            self.assertIn(sentence, str(error))
