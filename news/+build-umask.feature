`slave.tac` takes `umask=` (and `twistd buildbot-lite-slave` `--build-umask`): the permissions that files and directories of builds do not get. The default is 0o022, as before.
