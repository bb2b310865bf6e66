``Periodic``, ``Nightly``, ``NightlyTriggerable`` and ``Dependent`` schedulers.  They go on over restarts, summer time and
clocks that are set: nothing fires twice, and what was missed is built once, with a line in the log.  ``Trigger`` takes
``sourceStamp``, ``sourceStamps`` and rendered names of schedulers, and hands on all codebases.
