"""
The bytes of logs, through the whole chain: command, keeper, slave, master, disk, client.
"""

import hashlib
import sys
from typing import ClassVar

from .farm import (
    Farm,
    Rss,
    until,
)
from .farm_case import FarmCase

ODD = """
import os, sys
values = bytes(range(256))
os.write(1, values + b"\\0" * 1000 + values[::-1])
for length in (16383, 16384, 16385, 262143, 262144, 262145, 7):
    os.write(1, b"x" * (length - 1) + b"\\n")
os.write(1, b"\\xc3")
os.write(1, b"\\xa9 \\xff\\xfe \\r\\n\\r no final newline")
"""

LARGE = """
import hashlib, os, random, sys
digest, chance = hashlib.sha256(), random.Random(6)
for _ in range(100):
    data = chance.randbytes(1 << 20)
    digest.update(data)
    while data:
        data = data[os.write(1, data[:chance.randrange(1, 200000)]):]
print(digest.hexdigest(), file=open(os.environ["WITNESS"] + "/large", "w"))
"""

INTERRUPTED = """
echo one
echo two > /dev/stderr
printf three
echo four >> /dev/stdout
sh -c 'echo five > /dev/stderr'
echo six >&2
"""

GIBIBYTE = 1 << 30


class BytesTests(FarmCase):
    """
    The stored log has the exact output of the command.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create builders whose commands are programs in the farm's directory.
        """
        farm = Farm("bot1")
        for name, program in (("odd", ODD), ("large", LARGE)):
            path = farm.directory / f"{name}.py"
            path.write_text(program)
            farm.builder(name, f"steps.ShellCommand(command={[sys.executable, str(path)]!r})")
        odd = [sys.executable, str(farm.directory / "odd.py")]
        farm.builder("apart", "steps.ShellCommand(command='echo out; echo err > /dev/stderr', separateStderr=True)")
        farm.builder("terminal", f"steps.ShellCommand(command={odd!r}, usePTY=True)")
        followed = "mkdir -p d; printf 'early\\377' > d/f; sleep 1.2; printf '\\0late' >> d/f; echo main"
        farm.builder("followed", f"steps.ShellCommand(command={followed!r}, logfiles={{'own log': 'd/f'}})")
        return farm.builder("interrupted", INTERRUPTED)

    def odd(self) -> bytes:
        """
        Return the program's output.
        """
        values = bytes(range(256))
        lines = [
            b"x" * (length - 1) + b"\n" for length in (16383, 16384, 16385, 262143, 262144, 262145, 7)
        ]  # line ends near the borders of chunks
        end = b"\xc3\xa9 \xff\xfe \r\n\r no final newline"
        return values + bytes(1000) + values[::-1] + b"".join(lines) + end

    def test_odd_bytes(self) -> None:
        """
        Promise 6: all 256 values, NULs, lines across the borders of chunks, and a missing final newline are kept.
        """
        self.assertEqual(self.farm.submit("odd").out, self.odd())
        self.assertEqual(self.farm.log("odd", 1), self.odd())

    def test_device_files(self) -> None:
        """
        Promise 6: a command that opens /dev/stderr again destroys no output.
        """
        wanted = b"one\ntwo\nthreefour\nfive\nsix\n"
        self.assertEqual(self.farm.submit("interrupted").out, wanted)
        self.assertEqual(self.farm.log("interrupted", 1), wanted)

    def test_separate_standard_error(self) -> None:
        """
        Promise 6: standard error can be a log of its own, which a remark announces.
        """
        done = self.farm.submit("apart")
        self.assertEqual(self.farm.log("apart", 1), b"out\n")
        self.assertEqual(self.farm.log("apart", 1, name="stderr"), b"err\n")
        self.assertEqual(sorted(done.out.splitlines()), [b"err", b"out"])
        self.assertIn("# log stderr:\n", done.err)

    def test_followed_file(self) -> None:
        """
        Promise 6: a followed log file arrives unchanged.
        """
        done = self.farm.submit("followed")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.farm.log("followed", 1, name="own log"), b"early\xff\0late")

    def test_terminal(self) -> None:
        """
        Promise 6: the output to a pseudo-terminal arrives unchanged, without added carriage returns.
        """
        self.assertEqual(self.farm.submit("terminal").out, self.odd())

    def test_large_log(self) -> None:
        """
        Promise 6: 100 MiB are identical at the command, on the master's disk, and at the client.
        """
        done = self.farm.submit("large", within=400)
        (wanted,) = self.farm.witnessed("large")
        ((length, recorded),) = self.farm.rows(
            "select length, sha256 from streams join builds on builds.id = build where builder = 'large'"
        )

        self.assertEqual((length, recorded), (100 << 20, wanted))
        self.assertEqual(hashlib.sha256(done.out).hexdigest(), wanted)
        self.assertEqual(hashlib.sha256(self.farm.log("large", 1)).hexdigest(), wanted)


class MemoryTests(FarmCase):
    """
    A farm for a very long log.
    """

    # Measuring the coverage needs memory of its own.
    unmeasured: ClassVar[dict[str, None]] = {"COVERAGE_PROCESS_START": None, "COVERAGE_PROCESS_CONFIG": None}

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder that writes 1 GiB, and one that writes little, so that all code is loaded before the
        measurement.
        """
        line = "The quick brown fox jumps over the lazy dog; 0123456789 lines of a log are about as long as this."
        return (
            Farm("bot1", env=cls.unmeasured)
            .builder("little", "echo hello", "head -c 3000000 /dev/zero")
            .builder("gibibyte", f"yes '{line}' | head -c {GIBIBYTE}")
        )

    def test_gibibyte(self) -> None:
        """
        Promise 9: master, slave and keeper stay within 32 MiB of idle while a log of 1 GiB is streamed.
        """
        farm = self.farm
        self.assertEqual(farm.submit("little").code, 0)
        memory = Rss({"master": farm.master.pid, "slave": farm.slave().pid, "keeper": farm.keeper_pid()})
        client = farm.submitting("gibibyte")

        def ended() -> bool:
            memory.sample()
            return client.process.poll() is not None

        until(ended, "a log of 1 GiB was streamed", within=1800)

        self.assertEqual(client.wait().code, 0)
        self.assertEqual(client.out_path.stat().st_size, GIBIBYTE)
        self.assertEqual(
            farm.rows("select length from streams join builds on builds.id = build where builder = 'gibibyte'"),
            [(GIBIBYTE,)],
        )
        above = memory.above_idle()
        self.assertLess(max(above.values()), 32, f"MiB above idle: {above}")
