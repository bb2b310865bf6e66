"""
Jobs of the tortured farm: commands with predictable output that record each run.

A job is one submission.  Its commands' logs and its artifact are pseudo-random text derived from the job's name.  Each
run of a command adds a line to its own file, and holds the job's lock file, so that simultaneous attempts are detected.
"""

import sys
from pathlib import Path
from random import Random

from attrs import frozen

from .schedules import Event

WORKER = """
import fcntl
import os
import random
import sys
import time

job, step, size, seconds, code = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
witness = os.environ["WITNESS"]


def note(name, text):
    fd = os.open(os.path.join(witness, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, text.encode())
    os.close(fd)


lock = os.open(os.path.join(witness, job + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("violations", f"{job} {step} began while another attempt ran\\n")
note(f"{job}.{step}", "begun\\n")
text = random.Random(f"{job}/{step}").randbytes(size)
piece = max(1, size // 40)
end = time.monotonic() + seconds
for at in range(0, size, piece):
    sys.stdout.buffer.write(text[at : at + piece])
    sys.stdout.buffer.flush()
    time.sleep(max(0.0, min(seconds / 40, end - time.monotonic())))
time.sleep(max(0.0, end - time.monotonic()))
while True:
    # The disk may be full; a command that writes files must handle that itself.
    try:
        with open(f"artifact-{job}", "wb") as artifact:
            artifact.write(random.Random(f"{job}/artifact").randbytes(size + 10))
        break
    except OSError:
        time.sleep(0.2)
note(f"{job}.{step}", "ended\\n")
sys.exit(code if step == "two" else 0)
"""

STEPS = {"work": ("one", "two"), "changing": ("one", "two"), "once": ("one",)}
"""The commands of each builder."""


@frozen
class Job:
    """
    One submission.  *size*: bytes of each command's log.  *seconds*: how long all its commands take.
    """

    name: str
    builder: str
    size: int
    seconds: float
    code: int

    @classmethod
    def of(cls, event: Event) -> "Job":
        """
        The job of a ``submit``.
        """
        name, builder, size, seconds, code = event.words
        return cls(name, builder, int(size), float(seconds), int(code))

    @property
    def properties(self) -> bytes:
        """
        The submitted text.
        """
        each = self.seconds / len(STEPS[self.builder])
        return f"job={self.name}\nsize={self.size}\nseconds={each}\ncode={self.code}\n".encode()

    @property
    def exit_code(self) -> int:
        """
        The expected exit code of its client.
        """
        return self.code if "two" in STEPS[self.builder] else 0

    def log(self, step: str) -> bytes:
        """
        The expected log of the command of *step*.
        """
        return Random(f"{self.name}/{step}").randbytes(self.size)

    @property
    def whole_log(self) -> bytes:
        """
        The expected output of its client.
        """
        return b"".join(self.log(step) for step in STEPS[self.builder])

    @property
    def artifact(self) -> bytes:
        """
        The expected artifact.
        """
        return Random(f"{self.name}/artifact").randbytes(self.size + 10)


def configuration(worker: Path, generation: int) -> str:
    """
    The builders, for master.cfg.  *generation* changes the environment of the builder ``changing``.
    """
    words = ", ".join(f"util.Property({name!r})" for name in ("size", "seconds", "code"))
    return f"""
def worker(step, **more):
    words = [{sys.executable!r}, "-S", {str(worker)!r}, util.Property("job"), step, {words}]
    return steps.ShellCommand(name=step, command=words, haltOnFailure=True, **more)

def upload():
    return steps.FileUpload(slavesrc=util.Interpolate("artifact-%(prop:job)s"), masterdest="artifact")

def builder(name, *steps, **more):
    c.setdefault("builders", []).append(
        util.BuilderConfig(name, SLAVES, util.BuildFactory(list(steps)), concurrent=True, **more))
    c.setdefault("schedulers", []).append(schedulers.Submit(name, [name], stdin="properties"))

c["maxRetries"] = 3
builder("work", worker("one"), upload(), worker("two"))
builder("changing", worker("one"), upload(), worker("two"), env={{"GENERATION": "{generation}"}})
builder("once", worker("one", onLost="fail"), upload())
"""
