"""
The master: what is configured, who is here, what was asked for, and what is being built.

Configuration
    ``loading`` executes a master.cfg into a generation; ``assembly`` checks what it left in ``c`` and makes a
    ``config``.  ``objects``, ``arguments`` and ``secret_files`` are the words that it may use, ``steps`` its steps.
    ``mistakes`` collects what is wrong, with lines; ``modules`` keeps the modules of one generation from another's.

Building
    ``queue`` chooses; ``runner`` begins, takes up and ends builds.  ``builds`` is one build, ``step_context`` what its
    steps have at hand, ``journal`` its recorded effects, ``recorder`` how all of it is written down.  ``command`` is
    the master's end of one command, ``session`` the memory of one slave, ``streams`` where the bytes stand,
    ``disk_reserve`` who has to wait when there is little room for them;
    ``abandon`` gives up what a build will not come to again.

People and machines
    ``grants`` are the strings, ``furl_files`` the files that they are looked up in, ``listening`` the places in them.
    ``registry`` knows the slaves, ``submission`` is where builds are asked for, ``requests`` are the promises made
    there.

``farm`` puts it together, ``maintenance`` keeps it going for years, ``retrying`` waits for room on the disk.
"""
