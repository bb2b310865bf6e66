"""
Repositories for tests to check out.
"""

import base64
import os
import subprocess
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

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


PASSWORD = "hunter22"


class _Guarded(SimpleHTTPRequestHandler):
    """
    Gives away files to whoever has the password.
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


class Web:
    """
    The repositories in *directory* at an address on the web, for user "me" and `PASSWORD`, or for that as a user
    without a password.  Git fetches files from it (``git update-server-info`` says which).
    """

    def __init__(self, directory: str) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Guarded, directory=directory))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.address = f"http://{self.host}"

    def close(self) -> None:
        """
        Stop.
        """
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
