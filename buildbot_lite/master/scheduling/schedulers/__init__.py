"""
Schedulers at work: changes, the clock and finished buildsets become requests.

::

    changes recorded ──┐
    a time has come ───┼──► SchedulerEngine ──► ActiveScheduler of each ──► Decisions ──► one transaction:
    a buildset ended ──┘                                                     what is submitted, what waits, how far
                                                                             the engine has read, when each last fired

The engine is one loop.  It reads on from where it was in the records, lets every scheduler decide, and records all
decisions together.  After an error it forgets what it holds in memory and reads the records again, as after a restart.
"""
