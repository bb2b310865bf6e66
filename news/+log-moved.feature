Masters and slaves go on in a new ``twistd.log`` when logrotate has moved theirs, and SIGHUP no longer ends a slave.
