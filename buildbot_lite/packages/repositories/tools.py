"""
Programs that write metadata of repositories.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from threading import Event

from ...child_programs import ChildProgram, ProgramError, last_complaint, run_here
from ...errors import BuildbotLiteError, ConfigError, InputError

LONGEST_RUN = 1800.0
"""Seconds that one program may run: a full index of a hundred thousand packages takes less."""
LEAST_FREE = 64 << 20
"""Free bytes on the disk.  With less, a program's failure is not blamed on a package."""
MOST_MEMORY = 2 << 30
"""Bytes of address space: the packages that are read come from others."""

_PACKAGES = {"apt-ftparchive": "apt-utils", "createrepo_c": "createrepo-c"}


def output_of_tool(words: Sequence[str], directory: str, doing: str, unwanted: Event) -> bytes:
    """
    The output of the program *words*, run in *directory*.  *doing*: what failed, for the sentence.  *unwanted* ends the
    program.  Blocks.  `ProgramError` when the program fails or takes longer than `LONGEST_RUN`, `ConfigError` when it
    is not installed.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="buildbot-lite-") as home:
            env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8"}
            program = ChildProgram(argv=words, cwd=directory, env=env, seconds=LONGEST_RUN, memory=MOST_MEMORY)
            ran = run_here(program, unwanted)
    except ConfigError as error:
        package = _PACKAGES.get(words[0], words[0])
        raise ConfigError(f"{doing}: {error}  Install it on the master (Debian: apt install {package}).") from None
    if unwanted.is_set():
        raise ProgramError(f"{doing}: the master stops.")
    if ran.cut_off:
        raise ProgramError(f"{doing}: {words[0]} printed more than {len(ran.output)} bytes.")
    if ran.code != 0:
        raise ProgramError(f"{doing}: {words[0]} {_complaint(ran.errors, ran.code)}.")
    return ran.output


def blamed(
    error: ProgramError, names: Sequence[str], read: Callable[[Sequence[str]], object], directory: str, unwanted: Event
) -> BuildbotLiteError:
    """
    The cause of *error*, with which a program failed that reads the packages *names*: an `InputError` that names a
    package that the program cannot read, or *error* itself when no package is at fault.

    *read* runs the program on some of the packages, in the file system of *directory*; with no package it succeeds,
    unless the machine is at fault.
    """
    deadline = time.monotonic() + LONGEST_RUN
    if shutil.disk_usage(directory).free < LEAST_FREE:
        return error
    try:
        read([])
    except ProgramError:
        return error
    for name in names:
        try:
            read([name])
        except ProgramError as why:
            if unwanted.is_set():
                return error
            return InputError(f"{name} is not taken into the repository: {why}")
        if time.monotonic() > deadline:
            break
    return error


def _complaint(errors: bytes, code: int) -> str:
    if said := last_complaint(errors):
        return f"says: {said}"
    return f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
