"""
The command ``buildbot-lite``.

::

    program     all commands, and how errors become sentences and exit codes
    commands    the groups in which modules define commands
    create      create-master, create-slave, create-web
    furl        furl; given_furl: a FURL as an argument or on standard input
    lifecycle   checkconfig, reconfig, start, stop, restart
    show        status, queue, slaves, builders, schedulers
    history     builds, last-good
    builds      force, rebuild, cancel, log, artifacts, keep
    trying      try; working_tree makes the patch, side_by_side shows several builds
    watching    follow; submitted and lasting_link follow requests over restarts of the master
    changes     sendchange, changes
    backup      backup, restore
    slaves      pause, unpause, unpin, drain, lost
    grant       grant: a command for each right
    grants      grants, revoke, rotate
    live        watch: live_documents (what is asked), live_views (what a screen shows of it), live_layout, live_screen,
                live_keys, live_navigation, line_columns, coloured_tail
    package     package build: package_words, package_files, package_git, package_chain, package_target; job_following
                asks about a job until it is decided, over restarts of the master
    package_*   package_jobs (list, show, kill, …), package_fetch, package_rebuild, package_signing (sign, push),
                package_shell (shell; shell_terminal is its terminal)

    farm_command  commands that ask a master: where its FURL is, and which word is DIR
    arguments   parameter types: numbers of builds, requests, properties; build_names: BUILDER/NUMBER
    quantities  parameter types: durations, sizes, times
    connection  questions to a running master, over the link of a FURL
    command_lines  the commands that people are told to run next
    connecting  waiting until a slave that was started is connected
    resuming    following over restarts of the master
    processes   finding, signalling and starting the process of a directory
    starting    waiting until it works; stopping: until it has ended
    download    files that arrive whole or not at all
    output      standard output and standard error; output_writer: the thread that writes followed output
    tables      the master's documents as tables; build_tables: those of builds; job_tables: of jobs of packages
    layout      how a table fits a terminal; two_lines: rows of two lines; cells: single values

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
