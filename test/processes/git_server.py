"""
Git repositories that are served over HTTP on this machine, for tests that check out from an address.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

LONGEST_HELD = 120.0
_DATE = "2026-11-28T12:00:00Z"
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "Farm"), ("EMAIL", "farm@example.org"), ("DATE", _DATE),
    )},
}  # fmt: skip


class GitServer:
    """
    Serves the bare repositories below *directory* with git's "dumb" protocol, which needs no program on the server.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._going = Event()
        self._going.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Holding, self._going, directory=str(directory)))
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """
        The address of the directory.
        """
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """
        Serve no more.
        """
        self._going.set()
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Answer no question meanwhile.
        """
        self._going.clear()
        try:
            yield
        finally:
            self._going.set()

    def commit(self, name: str, files: Mapping[str, str | bytes], tag: str) -> str:
        """
        Commit *files* (path → contents, of a program if they begin with "#!", or "-> " and where a link leads), and
        nothing else, to the repository *name*, and tag that; returns the hash of the commit.
        """
        tree, bare = self.directory / f"{name}.tree", self.directory / f"{name}.git"
        if not tree.exists():
            self._git("init", "-q", "-b", "main", str(tree))
            self._git("init", "-q", "--bare", "-b", "main", str(bare))
        self._git("-C", str(tree), "rm", "-rqf", "--ignore-unmatch", ".")
        for path, contents in files.items():
            data = contents if isinstance(contents, bytes) else contents.encode()
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            if data.startswith(b"-> "):
                (tree / path).symlink_to(data[3:].decode())
                continue
            (tree / path).write_bytes(data)
            (tree / path).chmod(0o755 if data.startswith(b"#!") else 0o644)
        self._git("-C", str(tree), "add", "-A")
        self._git("-C", str(tree), "commit", "-q", "--allow-empty", "-m", tag)
        self._git("-C", str(tree), "tag", tag)
        self._git("-C", str(tree), "push", "-q", "--tags", str(bare), "+HEAD:refs/heads/main")
        self._git("-C", str(bare), "update-server-info")
        return self._git("-C", str(tree), "rev-parse", "HEAD").strip()

    def _git(self, *words: str) -> str:
        ran = subprocess.run(["git", *words], env=_ENVIRONMENT, check=True, capture_output=True, text=True, timeout=60)
        return ran.stdout


class _Holding(SimpleHTTPRequestHandler):
    def __init__(self, going: Event, *more: Any, **named: Any) -> None:
        self._going = going
        super().__init__(*more, **named)

    def do_GET(self) -> None:
        self._going.wait(LONGEST_HELD)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass
