`buildbot-lite force` says of each given value that is no parameter of the ForceScheduler that it became a property of the build, and which parameter may be meant.
