The keeper needs two thirds of the processor time for a small command, and half of the syncs, since it records all commands in one file.
