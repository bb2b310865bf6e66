`buildbot-lite stop` of a slave or master leaves no process behind: its keeper ends at once when it has no commands, or when the last of them has ended, instead of a minute later.
