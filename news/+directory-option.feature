`buildbot-lite -C DIR COMMAND` gives the directory of a master or slave, as `git -C` and `make -C` do; then no argument is taken for DIR. DIR as the first argument works as before.
