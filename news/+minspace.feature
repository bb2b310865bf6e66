When less than `c['minspace']` (a twentieth of the disk, at most 1 GiB) is free on the master's disk, the slave that recently sent most waits, and the others go on.
