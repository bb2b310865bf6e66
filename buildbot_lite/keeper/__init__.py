"""
The keeper: a small process on a build machine, the parent of every command.

Commands outlive the slave's own process, twistd, which may be restarted or upgraded while they run.  The keeper imports
only a small part of the standard library, and neither uses the network nor Twisted: it takes a few megabytes of memory,
and has few reasons to be restarted.

::

    keeper_client (in twistd)                  keeper                              commands
       start, interrupt, forget  --- JSON --->  claims, spawns, signals  ------->   sh, make, git …
       claimed, grew, ended      <-- lines ---  reads, masks, counts     <- pipes -
       reads the spools               ^         DIR/commands/ID/stdio, outcome.json
               `----------------------'

Reading order: `loop` (descriptors, timers, signals), `start_request` and `wrapper` (the command to run),
`command_store`, `record_file` and `spool` (files on disk), `earlier_records` (those of version 0.1.0), `tree_removal`,
`masking` and `spellings` (secrets), `output` (from a pipe into spools), `tail` (log files), `spawn`, `process_table`
(all processes), `process_tracker` (the processes of each command), `outcome`, `context` (collaborators of all
commands); for one command `command_io` (input and output), `termination` (ending its processes), `timeouts` and
`command` (its stages); `keeper` (all commands), `outcome_writer` (outcomes on their way to the disk),
`earlier_commands` (those of an earlier keeper), `events` (messages for the client), `server` (the socket);
`running_commands` (read by other processes).  `parent_death` is for processes that are not the keeper's: they end
with their parent.
"""
