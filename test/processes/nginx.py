"""
An nginx for tests.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .farm import dying_with_the_test, until

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def start_nginx(directory: Path, env: Mapping[str, str], http: str) -> "subprocess.Popen[bytes]":
    """
    A running nginx whose files are in the new *directory*; its caller ends it.  *http*: the directives of that block.
    """
    directory.mkdir()
    temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in _TEMPORARY)
    (directory / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} {http} }}\n"
    )
    nginx = subprocess.Popen(
        [shutil.which("nginx") or "nginx", "-e", "error.log", "-p", str(directory), "-c", "nginx.conf"],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(directory / "said").open("wb"),
        preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
    )
    until((directory / "pid").exists, "nginx runs")
    return nginx


def end(nginx: "subprocess.Popen[bytes]") -> None:
    """
    End what `start_nginx` started.
    """
    nginx.terminate()
    nginx.wait(60)
