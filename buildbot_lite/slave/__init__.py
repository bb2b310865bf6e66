"""
A slave: the program on a build machine that runs the master's commands.

::

    master                    slave (twistd)                            keeper (a process of its own)
    Desk    <-- attach ----   session --- hello, lease ---.
    Slave   --- start ---->   agent   --- start, forget --+--> keeper_client ==socket==> claim, spawn, reap
    Command <-- append ----   stream_sender <-- grew, ended ----'                             |
                                 '------------ reads ------------------------ spool <---------'

Talking to the master: `session` (attach, hello, lease), `link` (what a master may ask over one link), `agent`
(everything held for the master, across links), `stream_sender` (the streams and the outcome of one command).

Talking to the keeper: `keeper_client` (stay attached), `keeper_connection` (connect, start a keeper),
`keeper_messages` (decode its events), `keeper_command` (a command under the keeper, as the agent sees it).

Files: `transfers`, `uploads`, `downloads` and `transfer` (done by the slave itself, without a keeper), `safe_paths` and
`nofollow` (paths below ``work`` that no symbolic link leads out of), `archive` (tar),
`worker_process`, `file_worker` and `file_jobs` (long or risky jobs in a process of their own).

`directory` (identity, places, facts about the machine), `policy` (what slave.tac allows), `connection_state` (how the
slave stands, for other programs), `assembly` (all of this put together; also a slave inside the master's process).
"""
