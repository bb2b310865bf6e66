A subclass of `steps.Trigger` computes the schedulers that it starts, each with its properties, in `getSchedulersAndProperties`, as in Buildbot.
