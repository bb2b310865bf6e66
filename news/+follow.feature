``buildbot-lite follow FURLFILE`` (or ``-``) follows one request with its watch string, over restarts of the master, to the build's exit code.
