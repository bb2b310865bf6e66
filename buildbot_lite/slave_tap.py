"""
A slave as a service of ``twistd``: the composition root, which gives the reactor to the slave's parts.

``slave.tac`` needs three lines, and one of them is the FURL::

    from buildbot_lite.slave_tap import application_for

    application = application_for(furl="pb://…")

Without such a file: ``twistd buildbot-lite-slave --furlfile FILE --basedir DIRECTORY``.

SIGTERM stops the slave and leaves its commands running in the keeper; their builds continue when the slave is started
again.  SIGUSR1 kills the commands, then stops the slave.  SIGUSR2 drains it: it takes no new builds, and stops after
its last one.  SIGHUP is logged without any other effect.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

from twisted.application.service import Application, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage

from .deferreds import background
from .errors import (
    BuildbotLiteError,
    FurlError,
    RevokedError,
    StorageError,
    sentence,
)
from .keeper.loop import boottime
from .keeper.wrapper import UMASK
from .model.hello import Welcome
from .packages.building.kept_roots import any_expired, removing_expired
from .packages.building.leftovers import marked, removing_left
from .slave import connection_state
from .slave.assembly import SlaveAssembly
from .slave.connection_state import ConnectionState, State
from .slave.directory import SlaveDirectory
from .slave.expiry import Expiry
from .slave.leftovers import LeftoverKind
from .slave.policy import DEFAULT_POLICY, Policy
from .storage.daemon import is_daemon
from .storage.files import readable_by_others
from .storage.log_file import watch_log_files
from .wire.certificate import load_or_create
from .wire.furl import parse, read_furl
from .wire.reconnecting import (
    DeskConnection,
    connect,
    retry_delay,
)
from .wire.roles import Desk, Link
from .wire.tub import make_tub


class SlaveService(MultiService):
    """
    A slave in the directory *basedir*, which is locked from now on, for the master at *furl*.  *policy*: that of
    slave.tac, which the master cannot change.
    """

    log = Logger()

    def __init__(self, furl: str, basedir: str, reactor: Any, policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        parse(furl)
        self._furl = furl.strip()
        self._reactor = reactor
        directory = SlaveDirectory(basedir)
        directory.make()
        # Before this process touches any file of a slave that may be running there.
        directory.lock()
        self._assembly = SlaveAssembly(
            directory,
            reactor,
            welcomed=self._welcomed,
            refused=self._refused,
            policy=policy,
            leftovers=LeftoverKind(lambda: marked(Path(directory.work)), removing_left),
        )
        self._tub = make_tub(reactor, load_or_create(self._assembly.directory.certificate))
        self._tub.setServiceParent(self)
        self._expiry = Expiry(
            expired=lambda: any_expired(Path(directory.work), time.time()),
            words=lambda: self._assembly.as_command(removing_expired()),
            removal=self._assembly.removal,
            clock=reactor,
        )
        self._desk_connection: DeskConnection | None = None
        self._connection = ConnectionState(State.CONNECTING)
        self._kill = False

    def startService(self) -> None:
        """
        Start the keeper and connect to the master.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        # Before any command starts: a signal without a handler would end the process and leave its commands running.
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self._signalled)
            signal.signal(signal.SIGUSR2, self._told_to_drain)
        if is_daemon():
            signal.signal(signal.SIGHUP, self._hung_up)
        self._log_files = watch_log_files(self._reactor)
        self._assembly.session.start()
        self._expiry.start()
        self._now(ConnectionState(State.CONNECTING))
        self._desk_connection = connect(
            self._tub,
            self._furl,
            self._assembly.directory.hints(),
            self._connected,
            self._not_connected,
            lambda reason: self._now(ConnectionState(State.UNREACHABLE, reason)),
        )

    def stopService(self) -> Deferred[None]:
        """
        Disconnect from the master and from the keeper, whose commands go on (after SIGUSR1 they are killed).
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._log_files.stop()
        self._expiry.stop()
        if self._desk_connection is not None:
            self._desk_connection.stop()
        await self._assembly.session.stop(kill=self._kill)
        await cast("Deferred[None]", super().stopService())  # type: ignore[no-untyped-call]  # Twisted's
        self._assembly.directory.unlock()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._kill = True
        self._reactor.callFromThread(self._kill_and_stop)

    def _kill_and_stop(self) -> None:
        self.log.info("SIGUSR1: killing all commands, then stopping")
        if self.running:
            self._reactor.stop()

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._say_what_applies)

    def _say_what_applies(self) -> None:
        self.log.info(
            "SIGHUP changes nothing at a slave: its slave.tac is read when it starts.  To apply it: buildbot-lite "
            "restart (builds go on)"
        )

    def _told_to_drain(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._drain)

    def _drain(self) -> None:
        self.log.info("draining: taking no new builds, stopping when the last one has ended")
        self._assembly.session.drain(self._drained)

    def _drained(self) -> None:
        self.log.info("drained: no build is left on this slave")
        if self.running:
            self._reactor.stop()

    def _now(self, state: ConnectionState) -> None:
        self._connection = state
        try:
            connection_state.write(self._assembly.directory.private, state)
        except StorageError as error:
            # Only for other programs; the slave does not need it.
            self.log.warn("{sentence}", sentence=str(error))

    def _connected(self, desk: Desk, link: Link) -> None:
        link.when_lost(self._link_lost)
        self._assembly.session.connected(desk, link)

    def _link_lost(self) -> None:
        # After a refusal the link is lost, too; the state stays REFUSED.
        if self._connection.state is State.CONNECTED:
            self._now(ConnectionState(State.CONNECTING))

    def _welcomed(self, welcome: Welcome) -> None:
        self.log.info("attached to the master as {name}", name=welcome.name)
        self._now(ConnectionState(State.CONNECTED))
        if self._desk_connection is not None:
            self._desk_connection.add_hints(welcome.hints)
        try:
            self._assembly.directory.keep_hints(welcome.hints)
        except StorageError as error:
            # The next process tries only the hints in its FURL.
            self.log.warn("{sentence}", sentence=str(error))
        # Once: draining attaches again, and that welcome says `drain`, too.
        if welcome.drain and not self._assembly.session.draining:
            self.log.info("the master's admin drains this slave")
            self._drain()

    def _refused(self, error: BuildbotLiteError) -> None:
        if self._desk_connection is not None:
            self._desk_connection.refused(error)

    def _not_connected(self, error: BuildbotLiteError) -> None:
        self.log.error("{sentence}", sentence=str(error))
        self._now(ConnectionState(State.REFUSED, str(error), retry_delay(error)))
        if isinstance(error, RevokedError):
            background(self._assembly.agent.forget_everything(), self.log, "ending the commands of the former FURL")


def application_for(
    furl: str,
    basedir: str | None = None,
    *,
    user: str | None = None,
    directories: Sequence[str] = (),
    environment: Sequence[str] | None = None,
    wrapper: Sequence[str] = (),
    umask: int = UMASK,
    shells: bool = False,
) -> Any:
    """
    The ``application`` of a ``slave.tac``.  *basedir*: by default the directory of that file.

    The other arguments are the slave's policy, which no master can change.  *user*: the user that commands run as; the
    slave is started as root.  *directories*: absolute paths outside of ``work`` to which symbolic links in it may lead.
    *environment*: the slave's variables that commands get; None: all.  *wrapper*: the words before those of every
    command, with the placeholders {workdir}, {work}, {private} and {id}.  *umask*: permission bits that files and
    directories of builds do not get.  *shells*: whether those whom the master's admin permits it may open shells in the
    roots of failed builds.  docs/security.md explains them.

    An invalid FURL, a directory in use by another slave, or a policy that cannot be enforced ends the process with one
    sentence.
    """
    tac = os.path.abspath(sys._getframe(1).f_globals.get("__file__", "slave.tac"))  # noqa: SLF001 - twistd sets it
    application = Application("buildbot-lite-slave")
    policy = _policy(
        user=user, directories=directories, environment=environment, wrapper=wrapper, umask=umask, shells=shells
    )
    service = _service(furl, basedir or os.path.dirname(tac), found_in=tac, policy=policy)
    service.setServiceParent(application)  # type: ignore[no-untyped-call]  # Twisted's
    return application


def _octal(text: str) -> int:
    return int(text, 8)


class Options(usage.Options):
    """
    The options of ``twistd buildbot-lite-slave``.
    """

    synopsis = "[options]"
    optParameters = (  # noqa: N815 - Twisted's
        ("furlfile", None, None, "The file that holds the FURL; its first line that begins with pb:// counts."),
        ("basedir", None, ".", "The slave's directory."),
        ("user", None, None, "Run commands as this user; the slave itself must be root's."),
        (
            "build-umask",
            None,
            None,
            "Permission bits that files of builds do not get, an octal number; default 022.",
            _octal,
        ),
        ("wrapper", None, "", "Words that go before those of every command, as a shell would split them."),
    )

    optFlags = (  # noqa: N815 - Twisted's
        ("shells", None, "Permit shells in the roots of failed builds to people whom the master permits them."),
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self["directories"] = []
        self["environment"] = None

    def opt_directory(self, path: str) -> None:
        """A directory beyond work to which links in it may lead; may be given several times."""
        self["directories"].append(path)

    def opt_pass(self, name: str) -> None:
        """A variable that commands get of the slave's environment, and no others; may be given several times."""
        self["environment"] = [*(self["environment"] or []), name]

    def postOptions(self) -> None:
        """
        ``--furlfile`` is required.
        """
        if self["furlfile"] is None:
            raise usage.UsageError("Give the file with the FURL: --furlfile FILE.")


def makeService(options: Options) -> SlaveService:
    """
    The service for ``twistd buildbot-lite-slave``.
    """
    try:
        furl = read_furl(options["furlfile"])
    except FurlError as error:
        raise SystemExit(f"{error}  Put the slave's string there, from buildslave.furls.") from None
    policy = _policy(
        user=options["user"],
        directories=options["directories"],
        environment=options["environment"],
        wrapper=shlex.split(options["wrapper"]),
        umask=UMASK if options["build-umask"] is None else options["build-umask"],
        shells=bool(options["shells"]),
    )
    return _service(furl, options["basedir"], found_in=options["furlfile"], policy=policy)


def _policy(**policy: Any) -> Policy:
    try:
        return Policy.of(**policy)
    except BuildbotLiteError as error:
        raise SystemExit(str(error)) from None


def _service(furl: str, basedir: str, *, found_in: str, policy: Policy) -> SlaveService:
    # Imported late: the import installs the default reactor, and twistd may have an option for another.
    from twisted.internet import reactor  # noqa: TID251 - this is a tap

    # Leases and time-outs must not jump when the clock is set, and must count while the machine is suspended, as the
    # master's time-outs do.  Nothing is scheduled yet.
    reactor.seconds = boottime  # type: ignore[method-assign]  # another clock
    try:
        service = SlaveService(furl, basedir, reactor, policy)
    except (BuildbotLiteError, OSError) as error:
        raise SystemExit(sentence(error)) from None
    if os.path.exists(found_in) and readable_by_others(found_in):
        service.log.warn(
            "others on this machine can read {path}, and whoever has the string in it can be this slave: chmod 600 it",
            path=found_in,
        )
    return service
