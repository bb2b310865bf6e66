"""
A real farm with a real web process.
"""

from typing import ClassVar

from ..asking_again import got
from ..ports import free_port
from .farm import Daemon, Farm, until
from .farm_case import FarmCase


class WebCase(FarmCase):
    """
    A farm with its own web process, in ``web`` of the master's directory.
    """

    port: ClassVar[int]
    web: ClassVar[Daemon]

    @classmethod
    def make(cls) -> Farm:
        """
        A farm with a builder that succeeds.
        """
        return Farm("bot1").builder("hello", "echo hello")

    @classmethod
    def begin(cls) -> None:
        """
        Start everything; the master writes the strings of the web process when it starts.
        """
        farm = cls.farm
        directory = farm.master_directory / "web"
        (directory / "private").mkdir(parents=True, mode=0o700)
        cls.port = free_port()
        (directory / "web.tac").write_text(
            "from buildbot_lite.web_tap import application_for\n"
            f"application = application_for(port='tcp:{cls.port}:interface=127.0.0.1')\n"
        )
        farm.start()
        cls.web = Daemon("web", directory, farm.env, "web.tac", "Starting reactor")
        cls.addClassCleanup(cls.web.kill)
        cls.web.spawn()

    def setUp(self) -> None:
        """
        Start what the last test stopped.
        """
        for daemon in (self.farm.master, self.web):
            if not daemon.alive:
                daemon.spawn()
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready")

    def get(self, path: str) -> tuple[int, str]:
        """
        Status and text of a page; 0 while nothing listens.
        """
        try:
            answer = got(self.port, path)
        except ConnectionError:
            return 0, ""
        return answer.status, answer.text
