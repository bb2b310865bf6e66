"""
Processes that end with their parent, whenever it dies.

::

    parent ──fork──► setpriv: the promise ──► sh: does the parent live? ──► program, with descriptor 3 on its own state
                                                                            └─► … ─► setpriv ─► sh: does the program of
                                                                                     descriptor 3 live? ─► …

The kernel kills a process when its parent dies, if the process asked for it (PR_SET_PDEATHSIG, prctl(2)).  Of a parent
that died before that, it says nothing.  So each process looks for its parent when it has asked: one that is alive then
is watched by the kernel.

A child knows its parent by number (``$PPID``), which is never that of another process: a process that lost its parent
belongs to one that existed before.  In other process namespaces, and below programs that start a process of their own,
numbers mean nothing; there a descriptor that is open on the program's ``/proc/PID/stat`` tells whether it lives: of a
process that has ended, it cannot be read, or says so (proc(5)).

(Rejected: a pipe whose other end only the parent has, because a shell can wait for its end, but not look whether it
came, and because Twisted passes no further descriptor to a process with a terminal.)
"""

from collections.abc import Sequence

_ASK = ("setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c")
GONE = 137
"""The exit code of a process whose parent was gone before it began: that of one that SIGKILL ended."""

BY_NUMBER = f'[ "$PPID" = "$1" ] || exit {GONE}; shift; exec "$@" 3</proc/$$/stat'
"""A program for sh: run the words behind the first one, the number of the parent, unless that is gone."""
BY_DESCRIPTOR = (
    'true 2>/dev/null <&3 || { echo "the wrapper in slave.tac does not pass descriptor 3 on" >&2; exit 126; }\n'
    f"{{ read -r state <&3; }} 2>/dev/null || exit {GONE}\n"
    f'case "${{state##*)}}" in " Z"* | " X"*) exit {GONE} ;; esac\n'
    'exec 3<&-; exec "$@"'
)
"""A program for sh: run the words, unless the process of descriptor 3 is gone; they do not get the descriptor."""


def tied_to(parent: int, setpriv: str) -> Sequence[str]:
    """
    The words before those of a program that ends with its parent, the process with the number *parent*; *setpriv*: the
    path of that program.  A change of user must come before them, because it would cancel the promise (prctl(2)).  The
    program gets descriptor 3 for `tied_below`.
    """
    return [setpriv, *_ASK[1:], BY_NUMBER, "tied", str(parent)]


def tied_below() -> Sequence[str]:
    """
    The words before those of a program below that of `tied_to`, or for which that has started another process.  It ends
    with its own parent, and does not begin if the program of `tied_to` is gone.
    """
    return [*_ASK, BY_DESCRIPTOR, "tied"]
