The address of a webhook may end with `?project=NAME` and `&codebase=NAME`, as in Buildbot.
