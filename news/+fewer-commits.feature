A step takes one commit instead of two: the outcome of a command is committed with what the build does next.
