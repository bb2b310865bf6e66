A step takes one commit instead of two: the outcome of a command is committed with the next effect of the build.
