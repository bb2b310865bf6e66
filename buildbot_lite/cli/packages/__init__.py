"""
Commands about packages, for those who submit and those who sign.

`commands` is the group, and ``package build``, which submits what `words` reads after TARGET: `files` of a
source package, or a revision in `git`; a `chain` of several is built in order.  `target` is where it submits, and
`job_following` asks about a job until it is decided, over restarts of the master; `outcome` prints what became of
its packages.  `jobs` (list, show, kill, …), `log`, `fetch`, `rebuild` and `shell` are about a job that is there;
`signing` is sign and push.
"""
