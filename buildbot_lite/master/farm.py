"""
The farm as a whole: which object gets which collaborators, and in which order they start and stop.

::

    control ──► submission ──► requests ──► queue ◄── dispatcher ──► runner ──► builds ──► sessions
                                                         ▲
                     changes: requests, slots, slaves ── wakeup

Collaborators arrive in constructors, so each object knows only those above it in `Farm.__init__`.

Starting is recovering: the grants and slaves are remembered, unfinished builds run on until they have caught up with
their journals, then the queue opens, and only then may clients connect.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from datetime import tzinfo
from functools import partial

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from ..model.extension import Extension
from ..model.http_request import HttpAnswer, HttpRequest
from ..model.locks import LockName
from ..model.registry import Registry
from ..storage.inputs import InputStore
from ..storage.notifications import Notifications
from ..storage.records import artifacts, epoch
from ..storage.records import slaves as records_of_slaves
from ..storage.records.retention import RetentionHolder
from ..storage.retrying import RetryingRecords
from ..storage.roles import Records
from ..storage.swissnums import Swissnums
from ..wire.limits.preauth import Preauth
from ..wire.traffic import Traffic
from .builds.disk_reserve import DiskReserve
from .builds.locks import Locks
from .builds.reactor_lag import ReactorLag
from .builds.streams import InThread, StreamStorage
from .config.generations import Generations
from .config.loading import Generation
from .config.master_config import MasterConfig
from .config.timetable import local_zone
from .grants.location import Location
from .grants.publisher import FurlPublisher
from .grants.registry import GrantRegistry
from .grants.verbs import SLAVE, Verb
from .reconfiguration import Reconfiguration
from .recovery import continue_builds, remember_grants
from .revocation import Revocation
from .scheduling.buildset_composer import BuildsetComposer
from .scheduling.can_start import CanStartAnswers
from .scheduling.cancelling import Cancelling
from .scheduling.changes.recorder import ChangeRecorder
from .scheduling.changes.sources import ChangeSources
from .scheduling.choice import BuildChoice
from .scheduling.code_time import CodeTime
from .scheduling.collapsing import CollapseRule
from .scheduling.continuation import Continuation
from .scheduling.dispatcher import Dispatcher
from .scheduling.forcing import Forcing
from .scheduling.hold import Hold
from .scheduling.live_changes import LiveChanges
from .scheduling.preferences import Preferences
from .scheduling.preparation import Preparation
from .scheduling.queue import Queue
from .scheduling.request_canceller import RequestCanceller
from .scheduling.requests import Requests
from .scheduling.runner import BuildRunner
from .scheduling.running_builds import RunningBuilds
from .scheduling.schedulers.engine import SchedulerEngine
from .scheduling.submission import Submissions, check_configured
from .scheduling.submit_limits import SubmitLimits
from .scheduling.triggering import Triggering
from .scheduling.user_answers import UserAnswers
from .scheduling.wakeup import Wakeup
from .slave_access import SlaveAccess
from .slaves.registry import SlaveRegistry
from .slaves.slots import Slots


@frozen(kw_only=True)
class Environment:
    """
    The parts of a farm that its composition root supplies.

    *generation*: the configuration with which it starts.  *swissnums*: makes the secret parts of FURLs.  *preauth*: the
    tokens with which slaves and admins skip the handshake queue.  *verbs*: returns the verbs of FURLs other than
    slaves', for the given farm.  *wall*: the time in seconds since 1970.  *zone*: the time zone of the times in
    master.cfg.  *try_out*: loads master.cfg in another process, in so many seconds, and fails with `ConfigError` when
    it is wrong.  *http*: sends a request for a step.  *extensions*: the services of higher packages for the
    given farm.  *traffic*, *lag*: measure the network and the reactor.
    """

    basedir: str
    records: Records
    swissnums: Swissnums
    generation: Generation
    location: Location
    preauth: Preauth
    verbs: Callable[["Farm"], Iterable[Verb]]
    clock: IReactorTime
    wall: Callable[[], float]
    in_thread: InThread
    try_out: Callable[[float], Awaitable[None]]
    http: Callable[[HttpRequest], Awaitable[HttpAnswer]]
    zone: Callable[[], tzinfo] = local_zone
    extensions: Callable[["Farm"], Iterable[Extension]] = lambda farm: ()
    traffic: Traffic = field(factory=Traffic)
    lag: ReactorLag | None = None


class Farm:
    """
    A running master, without its network.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.basedir, self.clock, self.wall = environment.basedir, environment.clock, environment.wall
        self.in_thread = environment.in_thread
        self.traffic, self.lag = environment.traffic, environment.lag
        self.started = self.wall()
        self._wakeup, self.live = Wakeup(self.clock), LiveChanges()
        self.records = RetryingRecords(environment.records, self.clock, self._wakeup.set)
        self.generations = Generations(
            self.basedir, current=environment.generation, records=self.records, wall=self.wall
        )
        self.notifications = Notifications()
        self.inputs = InputStore(os.path.join(self.basedir, "inputs"))
        self.stream_storage = StreamStorage(self.basedir, self.notifications, environment.in_thread)
        self._compose_access()
        self._compose_change_sources()
        self._compose_queue()
        self._compose_requests()
        self._compose_submissions()
        self._compose_other_requests()
        self._compose_builds()
        self._compose_administration()
        self.retention_holders: Registry[RetentionHolder] = Registry("holder of builds", [artifacts.INPUTS_OF_BUILDS])
        self.continuations: Registry[Continuation] = Registry("continuation of buildsets")
        self.extensions: Registry[Extension] = Registry("extension of the farm", environment.extensions(self))
        for verb in environment.verbs(self):
            self.verbs.add(verb)

    def _compose_access(self) -> None:
        """
        Slaves and FURLs.
        """
        environment, location = self._environment, self._environment.location
        self.verbs: Registry[Verb] = Registry("verb of a grant")
        self.slots = Slots()
        self.running = RunningBuilds(self.slots, self.clock)
        self.slaves = SlaveRegistry(
            records=self.records,
            clock=self.clock,
            wall=self.wall,
            changed=self._wakeup.set,
            seen=self.live.note,
            remark=self.running.remark,
            slots=self.slots,
            directories=lambda name: [builder.directory for builder in self.config.builders_on(name)],
        )
        access = SlaveAccess(self.slaves, self.slots, self.running, location, self.clock)
        self.grants = GrantRegistry(
            records=self.records,
            swissnums=environment.swissnums,
            wall=self.wall,
            verbs=self.verbs,
            preauth=environment.preauth,
            clock=self.clock,
            configured=partial(check_configured, self.generations),
            admits=access.admit,
            breach=access.breach,
            slowed=access.slowed,
        )
        self.verbs.add(Verb(SLAVE, partial(access.expose, self.grants), preauth=True))
        self.furls = FurlPublisher(
            self.basedir,
            grants=self.grants,
            records=self.records,
            location=location,
            generations=self.generations,
        )

    def _compose_change_sources(self) -> None:
        """
        Make the objects on the way from the repositories to recorded changes.
        """
        self.code_time = CodeTime(self.clock)
        self.changes = ChangeRecorder(records=self.records, generations=self.generations, wall=self.wall)
        self.change_sources = ChangeSources(
            basedir=self.basedir,
            recorder=self.changes,
            records=self.records,
            generations=self.generations,
            clock=self.clock,
            wall=self.wall,
            in_thread=self._environment.in_thread,
            code_time=self.code_time,
        )

    def _compose_queue(self) -> None:
        """
        The queue, and the choice of the next build and its slave.
        """
        self.hold = Hold(self.basedir, records=self.records, wakeup=self._wakeup)
        self.locks = Locks(
            limit=self._lock_limit,
            parent=self.running.parent_of,
            changed=self._wakeup.set,
        )
        answers = UserAnswers(clock=self.clock, changed=self._wakeup.set)
        self.queue = Queue(answers=answers, wakeup=self._wakeup, clock=self.clock, wall=self.wall)
        self.choice = BuildChoice(
            queue=self.queue,
            slaves=self.slaves,
            slots=self.slots,
            locks=self.locks,
            parent=self.running.parent,
            can_start=CanStartAnswers(answers),
            preferences=Preferences(answers, self.slots),
            answers=answers,
            generations=self.generations,
            hold=self.hold,
            wakeup=self._wakeup,
            clock=self.clock,
        )

    def _compose_requests(self) -> None:
        """
        Requests in the queue, and the schedulers that make them of changes and at times.
        """
        self.requests = Requests(
            records=self.records,
            queue=self.queue,
            collapse_rule=CollapseRule(records=self.records, queue=self.queue, generations=self.generations),
            grants=self.grants,
            wall=self.wall,
            generations=self.generations,
            clock=self.clock,
        )
        self.schedulers = SchedulerEngine(
            records=self.records,
            generations=self.generations,
            requests=self.requests,
            changes=self.changes,
            clock=self.clock,
            wall=self.wall,
            zone=self._environment.zone,
        )

    def _compose_submissions(self) -> None:
        """
        Requests for the holders of submit FURLs, and their cancellation.
        """
        self.canceller = RequestCanceller(
            records=self.records,
            requests=self.requests,
            queue=self.queue,
            running=self.running,
            streams=self.stream_storage.streams,
        )
        self.composer = BuildsetComposer(generations=self.generations, requests=self.requests, clock=self.clock)
        self.submit_limits = SubmitLimits(grants=self.grants, queue=self.queue, wall=self.wall)
        self.submissions = Submissions(
            generations=self.generations,
            composer=self.composer,
            canceller=self.canceller,
            grants=self.grants,
            limits=self.submit_limits,
            records=self.records,
            furls=self.furls,
            inputs=self.inputs,
            in_thread=self.in_thread,
            wall=self.wall,
        )

    def _compose_other_requests(self) -> None:
        """
        Requests for admins and running builds, and the cancellation of outdated builds.
        """
        self.forcing = Forcing(
            records=self.records,
            generations=self.generations,
            requests=self.requests,
            composer=self.composer,
            inputs=self.inputs,
            in_thread=self.in_thread,
            wall=self.wall,
        )
        self.triggering = Triggering(
            records=self.records,
            generations=self.generations,
            requests=self.requests,
            schedulers=self.schedulers,
            composer=self.composer,
            canceller=self.canceller,
        )
        self.cancelling = Cancelling(
            records=self.records,
            generations=self.generations,
            queue=self.queue,
            running=self.running,
            canceller=self.canceller,
            wall=self.wall,
        )

    def _compose_builds(self) -> None:
        """
        Make the objects on the way from the queue to the end of a build.
        """
        self.reserve = DiskReserve(
            self.clock,
            disk=lambda: shutil.disk_usage(self.basedir)[::2],
            least=lambda: self.config.minspace,
            report=self.running.remark,
        )
        self.runner = BuildRunner(
            records=self.records,
            slaves=self.slaves,
            slots=self.slots,
            locks=self.locks,
            running=self.running,
            requests=self.requests,
            preparation=self._preparation(),
            stream_storage=self.stream_storage,
            generations=self.generations,
            wakeup=self._wakeup,
            clock=self.clock,
            wall=self.wall,
        )
        self.dispatcher = Dispatcher(
            self.queue, self.choice, self.runner, self.running, self.hold, self._wakeup, self.clock, self.live
        )

    def _preparation(self) -> Preparation:
        return Preparation(
            records=self.records,
            slaves=self.slaves,
            submission=self.triggering,
            stream_storage=self.stream_storage,
            reserve=self.reserve,
            locks=self.locks,
            label=self.slots.label,
            inputs=self.inputs,
            generations=self.generations,
            clock=self.clock,
            wall=self.wall,
            http=self._environment.http,
            code_time=self.code_time,
        )

    def _compose_administration(self) -> None:
        """
        The collaborators by which an admin changes the running master.
        """
        self.revocation = Revocation(
            grants=self.grants,
            slaves=self.slaves,
            running=self.running,
            canceller=self.canceller,
            generations=self.generations,
            furls=self.furls,
            clock=self.clock,
        )
        self.reconfiguration = Reconfiguration(
            generations=self.generations,
            location=self._environment.location,
            slaves=self.slaves,
            grants=self.grants,
            furls=self.furls,
            revocation=self.revocation,
            change_sources=self.change_sources,
            wakeup=self._wakeup,
            try_out=self._environment.try_out,
        )
        self.reconfiguration.on_applied(lambda config: self.schedulers.wake())
        self.reconfiguration.on_applied(lambda config: self.cancelling.configure())

    @property
    def config(self) -> MasterConfig:
        """
        The configuration in force.
        """
        return self.generations.config

    def _lock_limit(self, lock: LockName) -> int | None:
        return self.config.lock_limit(lock)

    async def start(self) -> None:
        """
        Load the records, continue unfinished builds, and open the queue.
        """
        await self.generations.keep(self.generations.current)
        await remember_grants(
            self.records,
            grants=self.grants,
            limits=self.submit_limits,
            fingerprint=self._environment.swissnums.fingerprint,
            now=self.wall(),
        )
        await self.furls.finish_rotation()
        self.slaves.epoch = await self.records.read(epoch.get)
        self.slaves.configure(self.config.slaves)
        self.slaves.remember(await self.records.read(records_of_slaves.get_all))
        self.revocation.bar_revoked_slaves()
        await continue_builds(
            self.records, generations=self.generations, queue=self.queue, runner=self.runner, clock=self.clock
        )
        await self.reconfiguration.settle()
        for extension in self.extensions.values():
            await extension.start()
        self.schedulers.start()
        self.cancelling.start()
        self.dispatcher.start()
        self.change_sources.configure(self.config.change_sources)

    async def stop(self) -> None:
        """
        Close the records.  Commands on slaves continue, and the next master resumes them.
        """
        for extension in self.extensions.values():
            extension.stop()
        self.schedulers.stop()
        self.cancelling.stop()
        self.dispatcher.stop()
        await self.change_sources.stop()
        self.grants.stop()
        await self.records.close()
