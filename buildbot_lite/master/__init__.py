"""
The master: what is configured, who is here, what was asked for, and what is being built.

Configuration
    ``loading`` executes a master.cfg into a generation; ``assembly`` checks what it left in ``c`` and makes a
    ``config``.  ``vocabulary``, ``arguments`` and ``secretfiles`` are the words that it may use, ``steps`` its steps.
    ``mistakes`` collects what is wrong, with lines; ``isolation`` keeps the modules of one generation from another's.

Building
    ``queue`` chooses; ``works`` begins, takes up and ends builds.  ``builds`` is one build, ``bench`` what its steps
    have at hand, ``journal`` its recorded effects, ``ledger`` how all of it is written down.  ``orders`` is the
    master's end of one command, ``session`` the memory of one slave, ``shelves`` where the bytes stand, ``reserve`` who
    has to wait when there is little room for them;
    ``abandoning`` gives up what a build will not come to again.

People and machines
    ``grants`` are the strings, ``strings`` the files that they are looked up in, ``address`` the places in them.
    ``roster`` knows the slaves, ``door`` is where builds are asked for, ``requests`` are the promises made there.

``farm`` puts it together, ``upkeep`` keeps it going for years, ``patience`` waits for room on the disk.
"""
