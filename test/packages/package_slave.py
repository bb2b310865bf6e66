"""
A scripted slave that builds packages.
"""

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import gatherResults

from buildbot_lite.model.spec import Run, Upload
from buildbot_lite.packages.building.source_steps import MADE
from test.master.harness import StartedCommand

DEB = "greet_1.0+farm1_any.deb"


@define
class PackageSlave:
    """
    The behaviour of a `FakeSlave` whose builds make *files*, by name.

    *failing*: steps' commands that fail: words that their scripts have.  *held*: commands with such words are kept in
    *waiting* until the test ends them.  *said*: the output of commands with such words.  *source*: the source package
    that is made of a git repository.
    """

    files: dict[str, bytes] = field(factory=lambda: {DEB: b"deb", "greet_1.0.buildinfo": b"info", "installed.txt": b""})
    failing: set[str] = field(factory=set)
    held: set[str] = field(factory=set)
    said: dict[str, str] = field(factory=dict)
    waiting: list[StartedCommand] = field(factory=list)
    source: bytes = b""

    def __call__(self, started: StartedCommand) -> None:
        """
        Run the command *started* as the script of the test says.
        """
        words = " ".join(started.spec.argv) if isinstance(started.spec, Run) else started.spec.kind
        if any(word in words for word in self.held):
            self.waiting.append(started)
        else:
            self.finish(started)

    def finish(self, started: StartedCommand) -> None:
        """
        End *started*.
        """
        spec: Any = started.spec
        if isinstance(spec, Upload):
            files = {**self.files, MADE: self.source}
            self._end(started, {"artifact": files[spec.path.rpartition("/")[2]]})
            return
        if not isinstance(spec, Run):
            self._end(started, {})
            return
        words = " ".join(spec.argv)
        said = f"$ {words[:60]}\n"
        if "list-files" in words:
            names = [MADE] if MADE in words else list(self.files)
            said = "".join(f"files/out/{name}\n" for name in names)
        said = next((text for word, text in self.said.items() if word in words), said)
        self._end(started, {"stdio": said.encode()}, int(any(word in words for word in self.failing)))

    def release(self) -> None:
        """
        Hold no more commands, and end the waiting ones.
        """
        self.held.clear()
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            self.finish(each)

    def _end(self, started: StartedCommand, streams: Mapping[str, bytes], exit_code: int = 0) -> None:
        sent = [started.command.append(name, 0, data) for name, data in streams.items() if data]
        _ = gatherResults(sent).addCallback(lambda _: started.end(exit_code, streams=streams))
