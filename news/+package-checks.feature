`steps.DebLintian` and `steps.RpmLint` check packages, with Buildbot's arguments.
