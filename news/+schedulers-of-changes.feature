Builds start when code changes: ``SingleBranchScheduler``, ``AnyBranchScheduler`` and ``Scheduler`` with
``treeStableTimer``, ``util.ChangeFilter`` in all its forms, ``fileIsImportant``, ``codebases`` and rendered
``builderNames``.  Timers go on over a restart.  Code from forks is built only with ``forks=True``, and gets no secret.
