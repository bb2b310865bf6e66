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

Reading order: `loop` (what happens next), `order` (what is asked), `shelf` and `spool` (what is on disk), `masking`,
`output` (from a pipe into spools), `follow`, `spawn`, `kinship` (which process belongs to which command), `report`
(what is told of it), `surroundings` (what all commands share); of one command `flow` (what it writes, read to the end),
`processes` (how they are ended), `limits` (for how long it may go on) and `command` (its life); `keeper` (all of them),
`server` (the socket).
"""
