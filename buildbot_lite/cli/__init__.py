"""
The command ``buildbot-lite``.

::

    program     the group of all commands; how errors are told
    making      create-master, create-slave, furl
    running     checkconfig, reconfig, stop, restart
    lists       status, queue, slaves, builders
    builds      builds, last-good
    building    force, rebuild, cancel, log, artifacts
    watching    follow
    rights      pause, unpause, unpin
    leaving     drain, lost
    granting    grant, grants, revoke, rotate

    arguments   what several commands take
    connecting  whether a slave that was started is connected
    resuming    following over restarts of the master
    office      the line to a running master, over its admin FURL
    processes   who runs in a directory, and stopping it
    receiving   files that arrive whole or not at all
    output      what is written where

What is told is decided by the master (``control.admin``); here it is asked and shown.  Whatever is not needed on a
slave's machine is imported by the command that needs it: ``pip install buildbot-lite`` has neither SQLAlchemy nor rich.
"""

from .main import main, program

__all__ = ["main", "program"]
