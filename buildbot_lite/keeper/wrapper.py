"""
What the slave's own slave.tac wants of every command, whatever the master asks: a wrapper, and another owner of files.

::

    the slave's environment --> wrapper --> sh --> the command
                                             ^
                      descriptor 3: what the master adds to the environment

The wrapper (``bwrap …``, ``podman run …``, ``setpriv …``) is outside of the fence that it makes.  So nothing that the
master says may reach it: not one variable, for LD_PRELOAD or PATH or CONTAINERS_CONF would run the master's program
before there is any fence.  It gets the slave's environment, and a shell inside the fence reads the master's part from
a file without a name.  (Rejected: ``env NAME=VALUE …`` inside, because arguments are visible in ps, and secrets are
among the values; a list of dangerous variables, which would never be complete.)

Of paths, the master only chooses the working directory.  It is opened one directory at a time without following links,
because a command that still runs may put one there; and it has no character that means something to a wrapper's
options.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
PLACEHOLDERS = ("workdir", "work", "private", "id")
# Inside the fence.  `cat` and descriptors of one digit are what every sh has; /proc may not be there.
_SHELL = (
    'settings=$(cat <&3) || { echo "the wrapper in slave.tac does not pass descriptor 3 on" >&2; exit 126; }\n'
    'exec 3<&-; eval "unset settings; $settings"; exec "$@"'
)
_PLAIN_PATH = re.compile(r"[\w.+@=/ -]*\Z")
_VARIABLE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What a shell makes itself, or would refuse to set.
_SHELL_OWN = {b"_", b"PPID", b"UID", b"EUID", b"BASHOPTS", b"SHELLOPTS"}


UMASK = 0o022
"""That of the keeper itself, and of commands unless a slave says otherwise."""


class StartRequestError(ValueError):
    """
    It cannot be run, and why.  (Not one of `buildbot_lite.errors`: it never leaves the keeper but as an outcome.)
    """


class Wrapper(NamedTuple):
    """
    *prefix*: the words before the command's own, with placeholders; empty: none.  *root*: the directory that the
    working directory is in, or None: wherever it is.  *outer*: the wrapper's environment.  *owner*: user and group that
    private files belong to, or None: ours.  *umask*: that of the command.
    """

    prefix: list[str]
    root: str | None
    outer: dict[bytes, bytes]
    owner: tuple[int, int] | None
    umask: int

    def words(self, **places: str) -> list[bytes]:
        """
        The words before the command's, with *places* filled in.
        """
        filled = [PLACEHOLDER.sub(lambda match: places.get(match[1], match[0]), word) for word in self.prefix]
        return [os.fsencode(word) for word in (*filled, "/bin/sh", "-c", _SHELL, "sh")]


def read_wrapper(message: Mapping[str, Any], workdir: str) -> Wrapper:
    """
    The fence in a ``start``, which is the slave's own word, not the master's.
    """
    prefix = [str(word) for word in message.get("wrapper") or []]
    root = message.get("root")
    owner = message.get("owner")
    if prefix and not _PLAIN_PATH.match(workdir):
        raise StartRequestError(
            f"The working directory {workdir!r:.200} has a character that this slave's wrapper might misunderstand: "
            "use letters, digits, spaces and . _ + @ = -"
        )
    env = message.get("env") or {}
    return Wrapper(
        prefix,
        str(root) if root else None,
        {os.fsencode(name): os.fsencode(value) for name, value in env.items()},
        (int(owner[0]), int(owner[1])) if owner else None,
        # A slave of 0.1.0 says nothing of it.
        int(message.get("umask", UMASK)),
    )


def settings(env: Mapping[bytes, bytes], outer: Mapping[bytes, bytes]) -> bytes:
    """
    What the shell inside the fence is to evaluate, so that *env* becomes of *outer*.
    """
    lines = [b"unset " + name for name in sorted(outer.keys() - env.keys()) if _VARIABLE.match(name)]
    for name, value in env.items():
        if outer.get(name) == value or name in _SHELL_OWN:
            continue
        if not _VARIABLE.match(name):
            shown = os.fsdecode(name)
            raise StartRequestError(
                f"{shown!r:.100} cannot be set through a wrapper: use letters, digits and underscores."
            )
        lines.append(b"export " + name + b"='" + value.replace(b"'", b"'\\''") + b"'")
    return b"\n".join(lines)


@contextmanager
def inside(workdir: str, root: str | None) -> Iterator[None]:
    """
    Be in *workdir*, which is made if it is not there.  Below *root* no symbolic link is followed.
    """
    back = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if root is None:
            os.makedirs(workdir, exist_ok=True)
            os.chdir(workdir)
        else:
            here = open_below(root, os.path.relpath(workdir, root), make=True)
            try:
                os.fchdir(here)
            finally:
                os.close(here)
        yield
    finally:
        os.fchdir(back)
        os.close(back)


def open_below(root: str, path: str, *, make: bool = False, flags: int = _DIRECTORY) -> int:
    """
    Open *path* below the directory *root* without following a link below it; what is above *path*'s end is directories.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PermissionError(1, "it leads out of its directory")
    here = os.open(root, _DIRECTORY)
    for number, part in enumerate(parts):
        wanted = flags if number == len(parts) - 1 else _DIRECTORY
        try:
            try:
                there = os.open(part, wanted | os.O_NOFOLLOW, dir_fd=here)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(part, dir_fd=here)
                there = os.open(part, wanted | os.O_NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)
        here = there
    return here
