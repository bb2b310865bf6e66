"""
A slave: the program on a build machine that runs the master's commands.

::

    master                    slave (twistd)                            keeper (a process of its own)
    Desk    <-- attach ----   session --- hello, lease ---.
    Slave   --- start ---->   agent   --- start, forget --+--> keeper_client ==socket==> claim, spawn, reap
    Command <-- append ----   stream_sender <-- grew, ended ----'                             |
                                 '------------ reads ------------------------ spool <---------'

To the master: `session` (attach, hello, lease), `link` (the calls that a master may make over one link), `agent` (all
commands that are held for the master, across links), `agent_roles` (the parts of its collaborators that it uses),
`held` (the interface of all held commands), `stream_sender` (the streams and the outcome of one command), `shells` (if
slave.tac permits them) and `shell_process` (one of them).

To the keeper: `keeper_client` (stay attached), `keeper_connection` (connect, start a keeper), `keeper_messages` (decode
its events), `keeper_command` (the agent's view of a command that runs in the keeper).

Files: `transfers`, `uploads`, `downloads`, `transfer` and `transfer_files` (done by the slave itself, without a
keeper), `safe_paths` and `nofollow` (paths below ``work`` that no symbolic link leads out of), `packing`, `unpacking`
and `archive_paths` (tar), `tree_merge` (moving an unpacked tree into place), `worker_process`, `file_worker` and
`file_jobs` (long or risky jobs in a process of their own), `disk_space` and `served` (removal of work directories),
`expiry` (removal of what is kept for a time), `leftovers` (removal of what killed builds left) and `removal` (the
programs of both).

`directory` (identity, paths, facts about the machine), `epochs` (masters from before a restore), `policy` (the settings
of slave.tac for commands), `connection_state` (the state of the link, for other programs), `assembly` (a whole slave;
also one inside the master's process).
"""
