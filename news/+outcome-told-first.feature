A slave reports the end of a command before it syncs its log, and does not write the log to its disk when the master stores it within five seconds.
