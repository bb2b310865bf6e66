``buildbot-lite`` makes masters and slaves, stops and restarts them, checks and applies ``master.cfg``, and shows status, queue, builds, logs and artifacts.
