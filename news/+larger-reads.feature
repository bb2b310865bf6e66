Receiving logs and files takes about a tenth less CPU time in the master and in `buildbot-lite log`.
