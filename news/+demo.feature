``make demo``: a master, two slaves and a real job on your machine, in one command.
