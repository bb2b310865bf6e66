"""
A made-up farm that a real web process shows, with a stand-in for its master.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import asdict

from ..asking_again import opened
from ..ports import free_port
from ..processes.farm import Daemon, dying_with_the_test, until
from ..seeded.files import make_farm
from ..seeded.seeding import Seeding
from .browser import Browser
from .stand_in import SEEDING

_ROOT = Path(__file__).resolve().parents[2]
_TAC = "from buildbot_lite.web_tap import application_for\napplication = application_for(port='{port}')\n"


class ShownFarm:
    """
    The farm of *seeding* in a new directory, with the logs of its newest *logs* builds; it is shown until `close`.
    *directory*: one that `make_farm` has made, which stays.
    """

    def __init__(self, seeding: Seeding, *, logs: int = 40, directory: Path | None = None) -> None:
        self.seeding = seeding
        self._made = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="farm-"))
        if directory is None:
            make_farm(self.directory, seeding, logs=logs)
        (self.directory / "master.tac").touch()
        (self.directory / SEEDING).write_text(json.dumps(asdict(seeding)))
        web = self.directory / "web"
        web.mkdir(exist_ok=True)
        port = free_port()
        self.address = f"http://127.0.0.1:{port}/"
        (web / "web.tac").write_text(_TAC.format(port=port))
        before = os.environ.get("PYTHONPATH")
        env = {**os.environ, "PYTHONPATH": f"{before}:{_ROOT}" if before else str(_ROOT)}
        self.web = Daemon("web", web, env, "web.tac", "listening at")
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def start(self) -> Self:
        """
        Start the stand-in and the web process; wait until a page has what only the master knows.
        """
        self.start_master()
        self.web.start()
        title = "Example farm" if not self.seeding.hostile else "example.org"
        until(lambda: self._knows(title), "the pages know the title of the farm")
        return self

    def _knows(self, title: str) -> bool:
        answer = opened(self.address)
        # Until the master has said that the farm is not private, nobody is let in.
        assert answer.status in {200, 401}, answer
        return answer.status == 200 and title in answer.text

    def start_master(self) -> None:
        """
        Start the stand-in.
        """
        furl = self.directory / "web" / "private" / "watch.furl"
        furl.unlink(missing_ok=True)
        self._master = subprocess.Popen(
            [sys.executable, "-m", "test.browser.stand_in", str(self.directory)],
            env=self.web.env,
            stdin=subprocess.PIPE,
            preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
        )
        until(furl.exists, "the stand-in listens")

    def stop_master(self) -> None:
        """
        End the stand-in: the master is away.
        """
        if self._master is not None:
            assert self._master.stdin is not None
            self._master.stdin.close()
            self._master.wait(60)
            self._master = None

    def change(self) -> None:
        """
        Tell the web process that something changed.
        """
        self._tell("changed")

    def grow(self, path: str, more: bytes) -> None:
        """
        Write *more* to the log with the stream *path*, and tell the web process that it grew.
        """
        with (self.directory / "streams" / path).open("ab") as file:
            file.write(more)
        self._tell(f"grew {path}")

    def _tell(self, line: str) -> None:
        assert self._master is not None and self._master.stdin is not None
        self._master.stdin.write(f"{line}\n".encode())
        self._master.stdin.flush()

    def page(self, path: str = "") -> str:
        """
        The text of a page.
        """
        answer = opened(self.address + path)
        assert answer.status == 200, answer
        return answer.text

    def enter(self, browser: Browser) -> None:
        """
        Enter the pages in *browser* with a string that permits everything, from the page that says how.
        """
        furl = (self.directory / "web" / "private" / "watch.furl").read_text().strip()
        browser.open("enter").one("input[name=code]").send_keys(furl)
        browser.one("form.filter button").click()
        browser.one("form[action$=leave]")

    def close(self) -> None:
        """
        End both processes, and remove the directory.
        """
        self.stop_master()
        if self.web.alive:
            self.web.stop()
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)
