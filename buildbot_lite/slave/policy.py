"""
The policy of slave.tac for all commands and transfers: user, wrapper, environment, umask, and the directories beyond
``work`` to which links may lead.

The master cannot change it.  The slave enforces the directories (`safe_paths`); user, wrapper and umask are sent to the
keeper with each command, beside the master's spec (`keeper.wrapper`).
"""

import os
import pwd
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from ..errors import ConfigError
from ..keeper.wrapper import (
    PLACEHOLDER,
    PLACEHOLDERS,
    UMASK,
)
from .directory import inherited

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?\Z")


@frozen
class CommandUser:
    """
    The user that commands run as; *setpriv*: the path of the program that changes to that user.
    """

    name: str
    uid: int
    gid: int
    home: str
    setpriv: str


@frozen
class Policy:
    """
    The policy of a slave; without arguments, the default.
    """

    user: CommandUser | None = None
    directories: tuple[str, ...] = ()
    environment: tuple[str, ...] | None = None
    wrapper: tuple[str, ...] = ()
    umask: int = UMASK
    shells: bool = False

    @classmethod
    def of(
        cls,
        *,
        user: str | None = None,
        directories: Sequence[str] = (),
        environment: Sequence[str] | None = None,
        wrapper: Sequence[str] = (),
        umask: int = UMASK,
        shells: bool = False,
    ) -> "Policy":
        """
        The policy in a slave.tac.  `ConfigError`, a sentence, when it cannot be enforced: the slave must not start.

        *user*: the user that commands run as; the slave itself must run as root.  *directories*: absolute paths to
        which symbolic links in ``work`` may lead.  *environment*: the slave's variables that commands get ("LC_*": all
        with that prefix), None: all.  *wrapper*: the arguments before those of each command.  *umask*: permission bits
        that files and directories of builds do not get; it must not contain those of the owner.  *shells*: whether the
        master may open shells (`shells`).
        """
        return cls(
            _command_user(user),
            tuple(_directory(each) for each in _listed("directories", directories)),
            None if environment is None else tuple(_variable(each) for each in _listed("environment", environment)),
            _wrapper(_listed("wrapper", wrapper)),
            _umask(umask),
            _yes_or_no("shells", shells),
        )

    def inherited(self, environment: Mapping[str, str]) -> dict[str, str]:
        """
        The variables of *environment*, the slave's, that commands inherit.
        """
        variables = inherited(environment)
        if self.user is not None:
            variables.update(HOME=self.user.home, USER=self.user.name, LOGNAME=self.user.name)
        if self.environment is None:
            return variables
        plain = {allowed for allowed in self.environment if not allowed.endswith("*")}
        beginnings = tuple(allowed[:-1] for allowed in self.environment if allowed.endswith("*"))
        return {name: value for name, value in variables.items() if name in plain or name.startswith(beginnings)}

    @property
    def words(self) -> list[str]:
        """
        The arguments before those of every command: the change of user, and the wrapper.
        """
        if self.user is None:
            return list(self.wrapper)
        user = self.user
        as_user = (f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups")
        return [user.setpriv, *as_user, "--inh-caps=-all", *self.wrapper]

    @property
    def owner_of_files(self) -> tuple[int, int] | None:
        """
        Uid and gid of all files in ``work``; None: those of the slave.
        """
        return None if self.user is None else (self.user.uid, self.user.gid)

    def why_unreachable(self, path: str) -> str | None:
        """
        A sentence if the user has no search permission on the directory *path* or above; otherwise None.
        """
        if self.user is None:
            return None
        while path != "/":
            status = os.stat(path)
            is_own = status.st_uid == self.user.uid or status.st_gid == self.user.gid
            if not is_own and not status.st_mode & stat.S_IXOTH:
                return f"The user {self.user.name} has no permission to enter {path}.  Run: chmod o+x {path}"
            path = os.path.dirname(path)
        return None


DEFAULT_POLICY = Policy()


def _listed(name: str, value: Any) -> list[str]:
    usable = isinstance(value, (list, tuple))
    if not usable or not all(isinstance(each, str) and each and "\0" not in each for each in value):
        raise ConfigError(f"{name} in slave.tac must be a list of strings that are not empty.")
    return list(value)


def _command_user(user: str | None) -> CommandUser | None:
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"There is no user {user!r} here.  Make one with: useradd --system {user}") from None
    if os.geteuid() != 0:
        raise ConfigError(
            f"Only root can run commands as {user}: start this slave as root, or leave user= out of slave.tac and "
            f"start it as {user}."
        )
    if entry.pw_uid == 0:
        raise ConfigError("user= in slave.tac is root, who may do everything.  Name another user.")
    setpriv = _program("setpriv")
    if setpriv is None:
        raise ConfigError(
            "There is no program setpriv here, which is needed for user= (Debian: apt install util-linux)."
        )
    return CommandUser(user, entry.pw_uid, entry.pw_gid, entry.pw_dir, setpriv)


def _directory(path: str) -> str:
    if not os.path.isabs(path) or os.path.realpath(path) == "/":
        raise ConfigError(f"directories in slave.tac has {path!r}: give absolute directories, and not all of them.")
    if not os.path.isdir(path):
        raise ConfigError(f"directories in slave.tac has {path!r}, which is not a directory.")
    return os.path.realpath(path)


def _variable(name: str) -> str:
    if not _VARIABLE.match(name):
        raise ConfigError(f'environment in slave.tac has {name!r}: give names of variables, or prefixes like "LC_*".')
    return name


def _wrapper(words: list[str]) -> tuple[str, ...]:
    if not words:
        return ()
    program = _program(words[0])
    if program is None or ("/" in words[0] and not os.path.isabs(words[0])):
        raise ConfigError(f"The wrapper {words[0]!r} in slave.tac is not a program on this machine.")
    for word in words:
        for name in PLACEHOLDER.findall(word):
            if name not in PLACEHOLDERS:
                known = ", ".join("{" + each + "}" for each in PLACEHOLDERS)
                raise ConfigError(f"The wrapper in slave.tac has {{{name}}}, but only these are replaced: {known}.")
    return (program, *words[1:])


def _umask(bits: Any) -> int:
    # True is an int, but a mistake.  (22, written in place of 0o22, is 0o26: that cannot be recognised.)
    if isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= 0o077:
        raise ConfigError(
            f"umask in slave.tac is {bits!r}: give an octal number from 0 to 0o077, like 0o022 or 0o002.  (It "
            "cannot remove permissions of the owner.)"
        )
    return bits


def _yes_or_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} in slave.tac is {value!r}: give True or False.")
    return value


def _program(name: str) -> str | None:
    """
    The absolute path of the program *name*.

    It is looked up once, when the slave starts: if it were looked up for each command, in the command's directory, a
    PATH that contains ``.`` would find a program that a build put there.
    """
    program = shutil.which(name)
    return None if program is None else os.path.abspath(program)
