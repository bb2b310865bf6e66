"""
The commands of README.md and docs/own-project.md, executed.

Blocks marked ``sh`` are run in order, in one shell, in a new home.  Each line of the ``text`` block that follows must
be printed; ``…`` stands for anything.  Blocks without a mark are not run: they install from the network, or need a
second machine.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from ..process_table import (
    kill,
    other_pids,
    read_proc,
)

CHECKOUT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/own-project.md")
PATIENCE = 500.0
_BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:```text\n(?P<printed>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@frozen
class Block:
    """
    Commands of a page, and the lines that they must print.
    """

    commands: str
    printed: tuple[str, ...]


def blocks_of(text: str) -> list[Block]:
    """
    Return the blocks of a page that are to be run.
    """
    return [Block(match["commands"], tuple((match["printed"] or "").splitlines())) for match in _BLOCK.finditer(text)]


def lacking(lines: tuple[str, ...], output: str) -> list[str]:
    """
    Return the *lines* that are not in *output*.
    """
    patterns = {line: re.sub(r"(\s|\\ )*…(\s|\\ )*", ".*", re.escape(line)) for line in lines}
    return [line for line, pattern in patterns.items() if not re.search(f"^{pattern}$", output, re.MULTILINE)]


class ReadmeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Create a home that contains only the virtual environment.
        """
        self.home = Path(tempfile.mkdtemp(prefix="readme-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.addCleanup(self.end_all)
        (self.home / "buildbot-lite").symlink_to(sys.prefix)

    def end_all(self) -> None:
        """
        End all processes that were started.
        """
        mark = f"HOME={self.home}\0".encode()
        for pid in other_pids():
            if mark in read_proc(pid, "environ"):
                kill(pid)

    def test_blocks(self) -> None:
        """
        Promise 7.4: the commands of the README's by-hand part, and of docs/own-project.md, work as they are written, in
        this order, and print the lines that the pages show.
        """
        blocks = [block for page in PAGES for block in blocks_of((CHECKOUT / page).read_text())]
        # The shell of a user who pastes one block after the other; a line of ours marks the end of each.
        script = "\n".join(f'{block.commands}echo "== block {number}: $?"' for number, block in enumerate(blocks))
        environment = {"HOME": str(self.home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with (self.home / "typed").open("w+") as typed, (self.home / "printed").open("w+") as printed:
            typed.write(script)
            typed.seek(0)
            # Output goes to a file, because the farm's processes may keep it open after the end of the shell.
            shell = subprocess.run(
                ["bash", typed.name],
                cwd=self.home, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
            printed.seek(0)
            output = printed.read()
        parts = re.split(r"^== block \d+: (\d+)\n", output, flags=re.MULTILINE)

        self.assertEqual(shell.returncode, 0, output)
        self.assertGreater(len(blocks), 8)
        for block, said, code in zip(blocks, parts[::2], parts[1::2], strict=False):
            self.assertEqual(code, "0", f"{block.commands}\nprinted:\n{said}")
            self.assertEqual(lacking(block.printed, said), [], f"{block.commands}\nprinted:\n{said}")
        self.assertEqual(len(parts), 2 * len(blocks) + 1)

    def test_lacking(self) -> None:
        """
        A line that was not printed is found, and the ellipsis matches anything within a line.
        """
        self.assertEqual(lacking(("# request …: a  …  b", "done"), "# request 7: a 1 b\ndone\n"), [])
        self.assertEqual(lacking(("a … b", "done"), "a\nb\nnot done\n"), ["a … b", "done"])
