"""
The shells that a slave opens for its master, if the policy in slave.tac permits it (``shells=True``).

A shell runs where commands run: in ``work``, with the user, the environment and the wrapper of the policy.  Its words
come from the master, as those of any command do.
"""

import os
import pty
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.logger import Logger

from ..errors import RefusedError
from ..keeper.parent_death import tied_below, tied_to
from ..keeper.wrapper import PLACEHOLDER
from ..model.shell_request import ShellRequest
from ..wire.shells import ShellTerminal
from .policy import Policy
from .shell_process import ShellProcess, set_size

MOST_SHELLS = 8
"""Shells of one slave at a time: more than the holders of one string may open."""

NOT_PERMITTED = (
    "The owner of this slave permits no shells on it.  To permit them, add shells=True to application_for(...) in its "
    "slave.tac and restart it."
)
# Stands for the directory with a command's private files, of which a shell has none.
_EMPTY = ".shell"


class ShellReactor(IReactorProcess, IReactorTime):
    """
    The parts of the reactor that this module uses.
    """


class Shells:
    """
    The open shells of a slave.

    *make*: makes a directory below the slave's ``work``, and returns its path.  *env*: the environment of commands.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: ShellReactor,
        *,
        work: str,
        make: Callable[[str], str],
        env: Mapping[str, str],
        policy: Policy,
    ) -> None:
        self._reactor = reactor
        self._work = work
        self._make = make
        self._env = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        self._policy = policy
        self._open: dict[ShellProcess, None] = {}

    @property
    def permitted(self) -> bool:
        """
        Whether the policy permits shells.
        """
        return self._policy.shells

    def open(self, request: ShellRequest, terminal: ShellTerminal) -> ShellProcess:
        """
        Open the shell that *request* asks for; *terminal* gets its output.  It ends with the terminal's link.
        `RefusedError` if the policy does not permit it, or too many are open.
        """
        if not self.permitted:
            raise RefusedError(NOT_PERMITTED)
        if len(self._open) >= MOST_SHELLS:
            raise RefusedError(
                f"{len(self._open)} shells are open on this slave, the most at a time.  Try again later."
            )
        shell = ShellProcess(terminal, request.size, self._reactor, lambda: self._open.pop(shell, None))
        self._open[shell] = None
        try:
            self._spawn(shell, request)
        except OSError as error:
            del self._open[shell]
            raise RefusedError(f"The slave cannot open a shell: {error.strerror}.") from None
        terminal.when_lost(partial(shell.end, "The connection was lost."))
        return shell

    def end_all(self) -> None:
        """
        End all shells, because this process is about to exit.
        """
        for shell in tuple(self._open):
            shell.end("The slave was stopped.")

    def _spawn(self, shell: ShellProcess, request: ShellRequest) -> None:
        words = self.words(request)
        how: dict[str, Any] = {"env": self._env, "path": self._work}
        if request.size is None:
            # A group of its own, so that all of it can be killed; on a terminal it is one anyway.
            words = [b"setsid", *words]
        else:
            ours, theirs = pty.openpty()
            set_size(ours, request.size)
            how["usePTY"] = (ours, theirs, os.ttyname(theirs))
        try:
            self._reactor.spawnProcess(shell, words[0], words, **how)
        except BaseException:
            for descriptor in how.get("usePTY", ())[:2]:
                os.close(descriptor)
            raise

    def words(self, request: ShellRequest) -> list[bytes]:
        """
        The words of the process: the change of user, the wrapper, and the master's words.  The kernel kills it when
        this process is gone, and what is below the wrapper when the wrapper is; so a wrapper must pass on descriptor 3,
        as for commands (`keeper.wrapper`).
        """
        policy = self._policy
        tied = tied_to(os.getpid(), shutil.which("setpriv") or "setpriv")
        as_user = policy.words[: len(policy.words) - len(policy.wrapper)]
        values = {"workdir": self._work, "work": self._work, "id": f"shell-{secrets.token_hex(8)}"}
        if any("{private}" in word for word in policy.wrapper):
            values["private"] = self._make(_EMPTY)
        wrapper = [PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word) for word in policy.wrapper]
        words = [*as_user, *tied, *wrapper, *tied_below()]
        return [*map(os.fsencode, words), *(word.encode() for word in request.argv)]
