"""
The keeper: a small process on a build machine, the parent of every command.

It uses neither the network nor Twisted, so that twistd can die, be restarted and upgraded while commands run.  Standard
library only, and little of it: a keeper takes a few megabytes and runs all the time.

::

    keeper_client (in twistd)                  keeper                              commands
       start, interrupt, forget  --- JSON --->  claims, spawns, signals  ------->   sh, make, git …
       claimed, grew, ended      <-- lines ---  reads, masks, counts     <- pipes -
       reads the spools               ^         DIR/commands/ID/stdio, outcome.json
               `----------------------'

Reading order: `loop` (descriptors, timers, signals), `start_request` and `wrapper` (what to run), `command_store` and
`spool` (files on disk), `masking` and `spellings` (secrets), `output` (from a pipe into spools), `tail` (log files),
`spawn`, `process_tracker` (which process belongs to which command), `outcome`, `context` (what all commands share); for
one command `command_io` (input and output), `termination` (ending its processes), `timeouts` and `command` (its
stages); `keeper` (all commands), `server` (the socket).
"""
