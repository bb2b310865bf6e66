"""
The keeper: the small process on a machine that is the parent of every command.

It knows nothing of the network or of Twisted, so that twistd can die, be restarted and upgraded while commands go on.
Everything here is the standard library, and little of that: a keeper takes a few megabytes and is there all the time.

::

    attendant (in twistd)                      keeper                              commands
       start, interrupt, forget  --- JSON --->  claims, spawns, signals  ------->   sh, make, git …
       claimed, grew, ended      <-- lines ---  reads, masks, counts     <- pipes -
       reads the spools               ^         DIR/commands/ID/stdio, outcome.json
               `----------------------'

Reading order: `loop` (what happens next), `start_request` (what is asked), `command_store` and `spool` (what is on
disk), `masking`, `output` (from a pipe into spools), `tail`, `spawn`, `process_tracker` (which process belongs to which
command), `outcome` (what is told of it), `context` (what all commands share); of one command `command_io` (what it
writes, read to the end), `termination` (how they are ended), `timeouts` (for how long it may go on) and `command` (its
life); `keeper` (all of them), `server` (the socket).
"""
