"""
A build farm in which a slave is one string.

The map
=======

Imports go down only; ``lint-imports`` holds it::

    cli  master_tap  slave_tap  web_tap  plugins  testing   programs, and modules that users import
      web                                             the web process: pages and webhooks; of the master it knows only
                                                      the wire and the records
      extensions                                      additions of higher packages to the master: keys of ``c``
      packages                                        packages of Debian and RPM, from sources to signed repositories
      control                                         objects for holders of FURLs: submissions, administration
      status                                          read-only views: followed logs, documents
      master | slave                                  the two ends; neither imports the other
      storage | wire | keeper                         state on disk; the protocol, the only importer of Foolscap; the
                                                      parent of every command (standard library only)
      deferreds | http_client | child_programs        events with several waiters, work in the background; HTTP;
                                                      programs of the master's own, such as git
      model                                           values and pure functions; the JSON that travels
      errors                                          every exception raised on purpose; its text is one sentence

Inside the master, in the same way::

    maintenance  trial_load                           clean-up and pruning; trying a master.cfg in another process
      retention                                       removal of old logs, artifacts, builds and inputs
      farm                                            composition: which object gets which collaborators
      reconfiguration                                 a new master.cfg comes into force in a running master
      revocation | recovery | slave_access            revoking a FURL; reading the records at a start; the objects that
                                                      slaves' FURLs lead to
      scheduling                                      from a submission to the result of its requests
      builds                                          one running build: coroutine, journal, records, streams
      steps                                           the steps that are shipped
      slaves | grants                                 sessions, links and commands; FURLs and what each designates
      config                                          master.cfg: loaded, checked, and the configuration that results

The spine
=========

A build, forwards: the FURL in slave.tac → `slave_tap` → `wire.reconnecting` → the master finds the grant
(`master.grants.registry`) → the desk (`master.slaves.desk`) → the session (`master.slaves.session`) → a request is
chosen from the queue (`master.scheduling.choice`) → the build runs its steps (`master.builds.build`,
`master.builds.step_context`), each effect through its journal (`master.builds.journal`) → a command
(`master.slaves.command`) → the slave's agent (`slave.agent`) → the keeper spawns (`keeper`) → bytes into the spool →
`slave.stream_sender` appends them → the master's stream file (`storage.streams`) → followers (`status.following`), and
news of it (`status.farm_news`) → the web process (`web`: its map goes on to the browser).

Backwards: the answer to an append is the flow control.  Last, once: finished(outcome, lengths, checksums); once the
journal holds it (`master.builds.recorder`, `storage.writer`), the slave may forget the command.

There is no other recovery: a build is replayed from its journal, and starting is recovering
(`master.scheduling.runner`).

A right is a grant: what a FURL permits is in the table of verbs (`control.verbs`, `packages.control`), which leads to
an object with just these calls; `wire.exposed` asks on each call whether the grant is revoked, `control.questions` and
`control.admin` whether it permits the question, `master.scheduling.submit_limits` whether it may submit now.

The way of a package, from a submission to a signed repository, is in `packages`.

Where it happens
================

::

    master.cfg is read                master.trial_load (in another process), master.config.loading ►
                                      master.config.assembly; its mistakes: master.config.mistakes, with the line that
                                      master.config.executed_line finds
    a command line is answered        cli.program ► a module of a part of cli ► cli.asking.connection ►
                                      wire.control ► control.admin
    a FURL is made                    master.grants.registry (hand_out), storage.swissnums (its secret part),
                                      master.grants.location (its text); master.grants.publisher writes the farm's own
    a right is checked                control.verbs, wire.exposed; see above
    a submission becomes requests     control.submissions ► master.scheduling.submission ► master.scheduling.requests
    a change becomes requests         master.scheduling.changes ► master.scheduling.schedulers
    a build waits, and why            master.scheduling.choice; the words are in model.wait_reasons
    a lost link is waited for         master.slaves.session_machine; then master.scheduling.requests tries again
    a build is replayed               master.recovery ► master.scheduling.runner (resume) ► master.builds.build, with
                                      master.builds.journal
    a stream is mirrored              slave.stream_sender ► master.slaves.command ► master.builds.streams ►
                                      storage.streams
    a command's processes are ended   keeper.termination
    a page is made                    web.dispatcher ► a module of web.pages ► web.templates
    a package's root is made          packages.building.debian_roots (words), packages/building/overlay.sh (what they
                                      do)

The words
=========

*slave* the configured name.  *desk* the object on the master that its FURL designates.  *link* one live connection.
*session* the master's state of a slave across links.  *keeper* the small process on the slave's machine that is the
parent of every command.  *command* one request of a step to a slave.  *lease* how long a command may run while slave
and master are not connected.  *stream* append-only bytes that the keeper writes and the master mirrors; *spool* a
stream's file on the slave; *seal* a stream's final length and checksum.  *remark* a line of the farm's own beside a
log, never in it.  *buildset* what was submitted at a time; *request* its part for one builder; a *build* is one attempt
at requests.  *journal* the recorded effects of a build.  *generation* a loaded master.cfg, kept for the builds that
began with it.  *feed* the ordered table of committed events.  *grant* a FURL that the master made; *holder* whoever has
it.  *grace* how long a lost slave's builds wait.  *turn* the permission to work now, where many wait for the same: the
queue, followers of logs, pages.

Where to begin reading
======================

``wire/roles.py`` (the calls between master and slave), ``model/spec.py`` and ``model/outcome.py`` (a command and its
outcome), ``master/builds/journal.py`` (why a build survives a crash), ``master/slaves/session_machine.py`` (why a build
survives a lost link), ``keeper/keeper.py``.
"""

__version__ = "0.1.0"
