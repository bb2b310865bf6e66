A checkout of a package's source from git has a limit on the slave's disk: `disk` of the target's root, 40 GiB by default.
