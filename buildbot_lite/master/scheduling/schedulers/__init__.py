"""
Schedulers at work: changes, the clock and finished buildsets become requests.

::

    changes recorded ──┐
    a time has come ───┼──► SchedulerEngine ──► ActiveScheduler of each ──► Decisions ──► one transaction:
    a buildset ended ──┘                                                     what is submitted, what waits, how far
                                                                             the engine has read, when each last fired

The engine is one loop.  It reads the records from its last position on, lets every scheduler decide, and records all
decisions together.  After an error it drops its state in memory and reads the records again, as after a restart.
"""
