"""
The command ``buildbot-lite``.

::

    program       all commands, and how errors become sentences and exit codes
      packages      package …: source packages, submitted, followed, signed, published
      builds        builds: asked for, followed, listed, their logs and artifacts; try
      directories   masters, slaves and web processes of this machine: made, started, stopped, backed up
      farm          what a running master tells and is told: status, slaves, strings, changes
      watch         the farm live in the terminal
    asking        commands that ask a master: where its FURL is, the link, following over restarts
    output        standard output and standard error; tables
    command_line  words of the command line: groups of commands, names of builds, durations, sizes, times
    processes     the process of a directory: finding, signalling and starting it

Imports go down only; ``lint-imports`` holds it.  A command: its module defines it (`command_line.groups`), asks
(`asking.farm_command`, `asking.connection`), and prints (`output.printing`).

The master answers questions (`control.admin`); these modules send and print.  Only the commands that need the master's
packages import them: ``pip install buildbot-lite`` installs neither SQLAlchemy nor rich.
"""

import sys

CUT_OFF = 130
"""The exit code of a command that Ctrl-C ended."""


def main() -> None:
    """
    The entry point.  The commands are imported here, because that takes long enough for a Ctrl-C.
    """
    try:
        from . import program
    except KeyboardInterrupt:
        sys.exit(CUT_OFF)
    program.main()
