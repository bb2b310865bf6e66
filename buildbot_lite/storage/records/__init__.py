"""
Queries and changes: plain functions over a connection, one module for each table.

They run inside `Records.write` or `Records.read`, return frozen rows, and have no dependence on threads.  Times (*now*)
are arguments, in seconds since 1970.

``settings``     single values                  ``requests``     buildsets and their requests
``grants``       rights and their FURLs         ``builds``       attempts at a request
``generations``  applied configurations         ``steps``        steps of a build
``slaves``       the slaves' last hello         ``journal``      effects of a build
``inputs``       submitted files                ``streams``      files of logs and artifacts
``feed``         committed events, in order     ``remarks``      lines beside a log
``history``      pages of builds, filtered      ``changes``      changes; ``pending_changes``: where they wait
``states``       of pollers and schedulers      ``outbox``       messages that are still to be sent
``epoch``        raised by each restore         ``durations``    of the latest good builds
``restored_grants`` void after a restore        ``ended_grants``   removal of grants
``artifacts``    as inputs of builds            ``retention``    finds old rows
``removal``      removes them                   ``marks``        keep builds
``cells``        builds in lists of builders    ``listed_builds`` what lists of builds show of each
``ended_builds`` in the order of their ends
"""
