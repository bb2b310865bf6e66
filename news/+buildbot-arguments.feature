Steps take more of Buildbot's arguments: `url` of uploads, `want_stdout`, `interruptSignal=15`, `SetProperty(command=…)`.
