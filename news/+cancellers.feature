`util.OldBuildCanceller` and `util.FailingBuildsetCanceller` in `c['services']` cancel builds of older changes, and the rest of a buildset of which a build failed.
