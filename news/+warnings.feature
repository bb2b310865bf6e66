`steps.WarningCountingShellCommand` is here, and `Compile` counts warnings as Buildbot's does: a successful compilation with warnings is WARNINGS. `warningPattern=None` turns that off.
