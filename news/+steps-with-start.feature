Your own steps may have Buildbot's older `start()`, which ends with `self.finished(result)` or `self.failed(failure)`; it was refused.
