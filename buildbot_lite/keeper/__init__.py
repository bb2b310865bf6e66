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

Reading order: `loop` (descriptors, timers, signals), `start_request` and `wrapper` (what to run), `command_store` and
`spool` (files on disk), `masking` and `spellings` (secrets), `output` (from a pipe into spools), `tail` (log files),
`spawn`, `process_table` (all processes), `process_tracker` (which process belongs to which command), `outcome`,
`context` (what all commands share); for one command `command_io` (input and output), `termination` (ending its
processes), `timeouts` and `command` (its stages); `keeper` (all commands), `events` (what the client is to be told),
`server` (the socket).
"""
