With `keep_failed=HOURS` in its `Overlay`, `Sbuild` or `Mock`, a target keeps the root of a failed build of a package, and `buildbot-lite package shell` enters it on the slave's machine.
