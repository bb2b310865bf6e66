"""
Persistent state: files, the database, and the records in it.

``files``               private files, written whole or not at all (standard library only; slaves use it too)
``lock``                one process per directory (likewise)
``daemon``              whether a process is a daemon
``log_file``            reopening of twistd's log files after rotation
``permissions``         refusal of private files that others can read
``streams``             the master's copy of a stream: an append-only file
``compressed_streams``  the finished stream: compressed, readable from any offset; ``compression`` is the thread for it
``early_sync``          syncs of long streams while they are received
``shared_reading``      one read for all followers of a stream file
``notifications``       waiting for a stream to grow
``artifacts``           files that builds produced
``inputs``              files that were submitted
``archive_input``       reading of an untrusted tar archive, within bounds (slaves use it too); ``xz_input``: of xz data
``swissnums``           the secret parts of FURLs
``generation_texts``    the texts of applied configurations
``database``            opening the farm's database
``schema``              the tables; ``upgrading`` and ``migrations`` convert older ones
``moving``              moving the database from the place where 0.1.0 had it
``statements``          SQL that is compiled once
``reading``             queries of another process; ``read_limit``: the limits of each transaction
``records``             queries and changes, one module for each table
``roles``               what all users of the database are written against
``writer``              the thread that changes the database, with many changes to a transaction; ``batch_meter``: how
                        long these take
``thread_connection``   the connection of such a thread; ``subscribers``: callbacks for committed events
``batch``               one such transaction, without threads
``retrying``            records that wait while the database fails
``database_place``      where the database is, for programs that do not load master.cfg
``backup``              backups of a farm, in the format of ``backup_archive``; ``restoring`` restores them
``revocation_log``      revoked and used FURLs, for a restore
``publishing``          copies of artifacts outside of the farm's directories
"""
