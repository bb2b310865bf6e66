"""
The program ``repo_script`` of a target, which runs after the public repository has changed, for example to copy it to a
web server.
"""

import os
from collections.abc import Mapping
from threading import Event

from ...child_programs import ChildProgram, ProgramError, last_complaint, run_here
from ...errors import ConfigError, InputError

SECONDS = 3600.0
LARGEST_OUTPUT = 1 << 20
"""Bytes that it may print."""


def run_repo_script(
    script: str, *, basedir: str, environment: Mapping[str, str], unwanted: Event, seconds: float = SECONDS
) -> None:
    """
    Run *script*, a path relative to the master's directory *basedir*, in *basedir*.  *environment*: variables in
    addition to the master's own.  `InputError` when it fails, prints too much, or does not end within *seconds*.

    Blocks: call it in a thread.  *unwanted*: set it to end the script.
    """
    basedir = os.path.abspath(basedir)
    program = ChildProgram(
        argv=[os.path.join(basedir, script)],
        cwd=basedir,
        env={**os.environ, **environment},
        seconds=seconds,
        largest=LARGEST_OUTPUT,
    )
    try:
        ran = run_here(program, unwanted)
    except (ProgramError, ConfigError) as error:
        raise InputError(f"The packages are public, but the repo_script failed: {error}") from None
    if ran.cut_off:
        raise InputError(
            f"The packages are public, but the repo_script {script} was ended: it printed more than {LARGEST_OUTPUT} "
            "bytes."
        )
    if ran.code:
        complaint = last_complaint(ran.errors or ran.output)
        said = f": {complaint}" if complaint else ""
        raise InputError(
            f"The packages are public, but the repo_script {script} failed with exit code {ran.code}{said}."
        )
