"""
Commands about directories of this machine: of masters, slaves and web processes.

`create` makes them, with what `given_furl` reads from an argument or standard input; `furl` prints or replaces their
FURL; `backup` is backup and restore.  `lifecycle` is checkconfig, reconfig, start, stop and restart: `starting` waits
until it works, `connecting` until a slave is at its master, `stopping` until it has ended.
"""
