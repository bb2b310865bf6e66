"""
What runs on a build machine: a slave.

::

    master                    slave (twistd)                        keeper (a process of its own)
    Desk    <-- attach ----   session --- hello, lease ---.
    Slave   --- start ---->   agent   --- start, forget --+--> attendant ==socket==> claim, spawn, reap
    Command <-- append ----   courier <-- grew, ended ----'                              |
                                 '------------ reads ------------------------- spool <---'

``directory``        the slave's directory: who we are, where things are, what the machine is
``safe_paths``        paths under ``work``, walked so that no symbolic link leads out
``keeper_client``   the client of the keeper's socket
``stream_sender``     mirrors the streams of one command to the master, then tells its outcome
``transfers``   uploads, downloads and directories: what a slave does itself, without a keeper
``agent``       everything that is held for the master, over all links
``link``        what the master asks over one link: start, resume, interrupt, disown
``session``     attaching, greeting, keeping the lease alive; the slave's end of each link
``assembly``       the same agent inside a master's own process, linked in memory
"""
