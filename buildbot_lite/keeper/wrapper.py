"""
The settings of slave.tac for every command, which the master cannot change: a wrapper, the owner of files, the umask.

::

    the slave's environment --> wrapper --> sh --> the command
                                             ^
                      descriptor 3: the changes that the master makes to the environment

The wrapper (``bwrap …``, ``podman run …``, ``setpriv …``) runs outside of the sandbox that it makes.  So it must not
get variables from the master: with LD_PRELOAD, PATH or CONTAINERS_CONF, the master could run its own program outside of
the sandbox.  The wrapper gets the slave's environment; a shell inside the sandbox reads the master's variables from an
unnamed file.  (Rejected: ``env NAME=VALUE …`` inside, because arguments are visible in ps, and values include secrets;
a list of dangerous variables, because it would never be complete.)

The only path that the master chooses is the working directory.  It is opened one directory at a time without following
links, because a running command may create one; and it may contain only characters without a special meaning in a
wrapper's options.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
PLACEHOLDERS = ("workdir", "work", "private", "id")
# Runs inside the sandbox.  Every sh has `cat` and descriptors of one digit; /proc may be missing.
_SHELL = (
    'settings=$(cat <&3) || { echo "the wrapper in slave.tac does not pass descriptor 3 on" >&2; exit 126; }\n'
    'exec 3<&-; eval "unset settings; $settings"; exec "$@"'
)
_PLAIN_PATH = re.compile(r"[\w.+@=/ -]*\Z")
_VARIABLE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Variables that the shell sets itself, or that are read-only in it.
_OF_THE_SHELL = {b"_", b"PPID", b"UID", b"EUID", b"BASHOPTS", b"SHELLOPTS"}


UMASK = 0o022
"""The keeper's own umask, and the default for commands."""


class StartRequestError(ValueError):
    """
    A sentence that says why the command cannot be run.  (Not a class of `buildbot_lite.errors`, because the keeper puts
    its sentence into the outcome.)
    """


class Wrapper(NamedTuple):
    """
    *prefix*: the arguments before those of the command, with placeholders; may be empty.  *root*: a directory that must
    contain the working directory, or None.  *outer*: the wrapper's environment.  *owner*: uid and gid of private files,
    or None for the keeper's.  *umask*: the command's.
    """

    prefix: list[str]
    root: str | None
    outer: Mapping[bytes, bytes]
    owner: tuple[int, int] | None
    umask: int

    def words(self, **values: str) -> list[bytes]:
        """
        The arguments before those of the command, with the placeholders replaced by *values*.
        """
        filled = [PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word) for word in self.prefix]
        return [os.fsencode(word) for word in (*filled, "/bin/sh", "-c", _SHELL, "sh")]


def read_wrapper(message: Mapping[str, Any], workdir: str, env: Mapping[bytes, bytes]) -> Wrapper:
    """
    Decode the fields of a ``start`` that come from the slave, not from the master.  *env*: the slave's environment.
    """
    prefix = [str(word) for word in message.get("wrapper") or []]
    root = message.get("root")
    owner = message.get("owner")
    if prefix and not _PLAIN_PATH.match(workdir):
        raise StartRequestError(
            f"The working directory {workdir!r:.200} has a character that this slave's wrapper might misunderstand: "
            "use letters, digits, spaces and . _ + @ = -"
        )
    return Wrapper(
        prefix,
        str(root) if root else None,
        env,
        (int(owner[0]), int(owner[1])) if owner else None,
        # A slave of 0.1.0 does not send this field.
        int(message.get("umask", UMASK)),
    )


def settings(env: Mapping[bytes, bytes], outer: Mapping[bytes, bytes]) -> bytes:
    """
    A script for the shell inside the sandbox, which changes the environment *outer* into *env*.  `StartRequestError` if
    a name is not valid in a shell.
    """
    lines = [b"unset " + name for name in sorted(outer.keys() - env.keys()) if _VARIABLE.match(name)]
    for name, value in env.items():
        if outer.get(name) == value or name in _OF_THE_SHELL:
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
    A context in which *workdir* is the current directory; it is made if it does not exist.  Below *root* no symbolic
    link is followed.
    """
    previous = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if root is None:
            os.makedirs(workdir, exist_ok=True)
            os.chdir(workdir)
        else:
            directory = open_below(root, os.path.relpath(workdir, root), make=True)
            try:
                os.fchdir(directory)
            finally:
                os.close(directory)
        yield
    finally:
        os.fchdir(previous)
        os.close(previous)


def open_below(root: str, path: str, *, make: bool = False, flags: int = _DIRECTORY) -> int:
    """
    A descriptor of *path* below the directory *root*, opened without following a link below *root*.

    *make*: make missing directories.  OSError if *path* leads out of *root*, goes through a link, or does not exist.
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
