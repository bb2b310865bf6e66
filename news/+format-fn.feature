`HttpStatusPush(format_fn=, wantProperties=, wantSteps=)`, `build.allFiles()` and `props.getBuild()` are taken, as Buildbot has them.
