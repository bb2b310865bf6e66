With `Overlay(keep_failed=HOURS)`, the root of a failed build of a package is kept, and `buildbot-lite package shell` enters it on the slave's machine.
