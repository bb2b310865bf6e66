"""
Repositories for tests to check out.
"""

import os
import subprocess
import tempfile

_WHO = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    # Whatever goes wrong here, git does not look for a repository any further up.
    "GIT_CEILING_DIRECTORIES": tempfile.gettempdir(),
}


SAFELY = {"GIT_CEILING_DIRECTORIES": tempfile.gettempdir()}


class Repository:
    """
    A repository to be checked out.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        """
        Run git there; answer what it says.
        """
        env = {"PATH": os.environ["PATH"], "HOME": self.path, **_WHO}
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """
        Commit *files* (name → contents); answer the hash.
        """
        for name, contents in files.items():
            with open(os.path.join(self.path, name), "w") as file:
                file.write(contents)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")
