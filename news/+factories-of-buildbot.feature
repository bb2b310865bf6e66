The factories `GNUAutoconf`, `BasicSVN`, `CPAN`, `Distutils` and `Trial`, and `BuildFactory.workdir`, mean what they mean in Buildbot.
