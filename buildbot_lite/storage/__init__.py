"""
What survives a restart.

``files``         private files, written whole or not at all (standard library only: slaves use it too)
``lock``          one process to a directory (the same)
``streams``       the master's copy of a stream: an append-only file whose length is all there is to know
``compressed_streams``        the same bytes after the end: compressed, and still read from any offset; ``compression``
sees to that
``notifications``        who waits for which stream to grow
``artifacts``     files that builds produced, and ``inputs``: files that were submitted
``database``      opening the farm's database: its file and its options
``schema``        the tables, and ``upgrading`` with ``migrations``: how older ones become these
``statements``    SQL that is compiled once
``records``       what can be asked of the tables and done to them, noun by noun
``writer``        the one thread that changes the database, many changes to a transaction
``batch``         how it does that, and ``inline``: the same without a thread
"""
