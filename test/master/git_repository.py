"""
Git repositories for tests to check out.
"""

import base64
import os
import subprocess
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    # Git must not search for a repository above this directory.
    "GIT_CEILING_DIRECTORIES": tempfile.gettempdir(),
}


NO_SEARCH_ABOVE = {"GIT_CEILING_DIRECTORIES": tempfile.gettempdir()}


class GitRepository:
    """
    A repository in the new directory *path*.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        """
        Run git in the repository.  Return its output.
        """
        env = {"PATH": os.environ["PATH"], "HOME": self.path, **_IDENTITY}
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
        Commit *files* (name → contents).  Return the hash.
        """
        for name, contents in files.items():
            with open(os.path.join(self.path, name), "w") as file:
                file.write(contents)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")


PASSWORD = "hunter22"


class _AuthenticatedHandler(SimpleHTTPRequestHandler):
    """
    Serve files to clients that authenticate.
    """

    protocol_version = "HTTP/1.1"
    users: tuple[bytes, ...] = (f"me:{PASSWORD}".encode(), f"{PASSWORD}:".encode())

    def send_head(self) -> Any:
        wanted = {b"Basic " + base64.b64encode(user) for user in self.users}
        if self.headers.get("Authorization", "").encode() in wanted:
            return super().send_head()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def log_message(self, *_: Any) -> None:
        pass


class GitHttpServer:
    """
    An HTTP server for the repositories in *directory*.

    Git uses its dumb protocol (after ``git update-server-info``).  It accepts the user "me" with `PASSWORD`, and
    `PASSWORD` as a user name without a password.
    """

    def __init__(self, directory: str) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_AuthenticatedHandler, directory=directory))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.address = f"http://{self.host}"

    def close(self) -> None:
        """
        Stop the server.
        """
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
