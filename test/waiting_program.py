"""
A program that waits in the place of another one until its parent is gone.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from .process_table import alive

PATIENCE = 60.0


class WaitingProgram:
    """
    A stand-in for the program *name*, in a directory of its own below *directory*.  A call for which *when*, a
    condition of sh about its arguments, is true says that it runs, and becomes the program when it is told to; other
    calls become the program at once.
    """

    def __init__(self, directory: Path, name: str, when: str) -> None:
        place = Path(tempfile.mkdtemp(dir=directory))
        self._called, self._go = place / "called", place / "go"
        os.mkfifo(self._called)
        os.mkfifo(self._go)
        self.path = place / name
        # A terminal that is closed must not end it.
        self.path.write_text(
            "#!/bin/sh\ntrap '' HUP\n"
            f"if {when}; then echo $$ $PPID >{self._called}; read -r line <{self._go}; fi\n"
            f'exec {shutil.which(name)} "$@"\n'
        )
        self.path.chmod(0o755)

    @property
    def environment(self) -> Mapping[str, str]:
        """
        That of the test, in which it is found in the place of the program.
        """
        return {**os.environ, "PATH": f"{self.path.parent}:{os.environ['PATH']}"}

    def wait_for_call(self) -> tuple[int, int]:
        """
        Wait for that call; the numbers of its process and of its parent.
        """
        words = ["head", "-n", "1", str(self._called)]
        ran = subprocess.run(words, capture_output=True, check=True, text=True, timeout=PATIENCE)
        process, parent = map(int, ran.stdout.split())
        return process, parent

    def go_on(self, *, when_gone: int) -> None:
        """
        Let the call go on when the process *when_gone* has ended.
        """
        deadline = time.monotonic() + PATIENCE
        while alive(when_gone):
            assert time.monotonic() < deadline, f"{when_gone} did not end"
            time.sleep(0.01)
        # That opens the FIFO when the call reads it, or waits for that (fifo(7)).
        subprocess.run(["sh", "-c", f"echo go >{self._go}"], check=True, timeout=PATIENCE)
