"""
The master: from master.cfg and submissions to finished builds.

The packages, from the top down; each imports only those below it::

    maintenance   trial_load      clean-up and pruning; trying a master.cfg in a process of its own
    retention                     removal of old logs, artifacts, builds and inputs
    farm                          composition: which object gets which collaborators
    reconfiguration               a new master.cfg in a running master
    revocation                    revoking a FURL: the links, submissions and builds that end with it
    recovery   slave_access       reading the records at a start; the objects that slaves' FURLs lead to
    scheduling                    submissions, requests, the queue, and the runner that begins and ends builds
    builds                        one build: its coroutine, journal, context of steps, streams and records
    steps                         the steps that a configuration uses
    slaves   grants               sessions and commands of slaves; FURLs and what each designates
    config                        master.cfg: loaded, checked, and the resulting configuration

A build is a coroutine that is replayed from its journal after a restart (`builds.journal`), so that starting and
recovering are the same (`scheduling.runner`).  A link that is lost does not interrupt a build: `slaves.session` keeps
the commands of a slave across links.
"""
