"""
The recorded conversation of a master and a slave of one version, call by call.

A recording is a JSON list of calls in the order in which they were made, each as Foolscap carries it::

    {"to": "desk", "call": "attach", "with": {"slave": {"is": "RISlave"}, "hello": {"json": …}}, "answer": {"json": …}}
    {"to": "slave", "call": "start", "with": {"id": {"text": "c1"}, "spec": {"json": …}, "command": …}, "answer": null}
    {"to": "command c1", "call": "append", "with": {"stream": …, "offset": 0, "data": {"base64": …}}, "answer": 14}
    {"cut": true}

Bytes are written as a JSON document, a text, or base64, depending on their contents.  The same script (`steps_of`) is
run by both sides of today's code to record, and by one side against the recording of the other to replay.  So a replay
also shows that today's side sends no less than the recorded version did.  New fields of a document are allowed.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from foolscap.remoteinterface import getRemoteInterfaceByName
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError, MessageError
from buildbot_lite.master.slaves.command import DispatchedCommand
from buildbot_lite.master.slaves.session import Session
from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import (
    Download,
    Run,
    Spec,
    Upload,
)
from buildbot_lite.wire.exposed import (
    Exposed,
    ExposedDesk,
    ExposedSlave,
    Revocable,
)
from buildbot_lite.wire.loopback import LoopbackLink
from buildbot_lite.wire.proxies import RemoteDesk
from buildbot_lite.wire.roles import Desk, Slave

from ..master.test_slave_commands import MemoryStreams, RecordingListener
from ..slave.fakes import SimulatedMachine, new_directory

Recording = list[dict[str, Any]]

SUFFIX = ".buildbot-lite"
RUN, PUT, GET, LONG = ("c1" * 16, "c2" * 16, "c3" * 16, "c4" * 16)
FILE = b"what a slave fetches\n"


# Recorded values.


def written(value: Any) -> Any:
    """
    Encode *value*, an argument or an answer of a call, for the recording.
    """
    if isinstance(value, bytes):
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
        try:
            document = json.loads(text)
        except ValueError:
            return {"text": text}
        return {"json": document} if isinstance(document, (dict, list)) else {"text": text}
    if isinstance(value, Exposed):
        return {"is": value.getInterfaceName().removesuffix(SUFFIX)}
    return value


def read(value: Any) -> Any:
    """
    Decode a recorded *value*.
    """
    if not isinstance(value, dict):
        return value
    if "json" in value:
        return json.dumps(value["json"]).encode()
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def says_no_less(now: Any, then: Any) -> bool:
    """
    Return whether *now* contains all of *then*; a document may have more fields.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and says_no_less(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(says_no_less, now, then))
    return bool(now == then)


# The link between the two sides.


@define(eq=False)
class FakeReference:
    """
    A stand-in for Foolscap's reference to an object of the other side; *call* carries each call.
    """

    call: Callable[[str, dict[str, Any]], Deferred[Any]]
    link: LoopbackLink

    @property
    def tracker(self) -> "FakeReference":
        return self

    @property
    def broker(self) -> "FakeReference":
        return self

    def callRemote(self, method: str, **arguments: Any) -> Deferred[Any]:
        return self.call(method, arguments)


@define
class RecordedLink:
    """
    The link.  It carries calls between today's two sides and appends them to *recording*; or it replays *recording* in
    place of the other side, and compares the calls of the *replayed* side with it.  *broken*: the differences.
    """

    recording: Recording
    replayed: str = ""
    link: LoopbackLink = field(factory=LoopbackLink)
    objects: dict[str, Exposed] = field(factory=dict)
    broken: list[str] = field(factory=list)
    _done: set[int] = field(factory=set)

    def reference(self, name: str) -> FakeReference:
        """
        Return a reference to the object *name*, for the side that does not own it.
        """
        return FakeReference(lambda method, arguments: self.carry(name, method, arguments), self.link)

    def cut(self) -> None:
        """
        Cut the link, and make a new one.
        """
        if self.replayed:
            self._done.add(min(self._left(lambda entry: "cut" in entry)))
        else:
            self.recording.append({"cut": True})
        old, self.link = self.link, LoopbackLink()
        old.drop("cut")

    def carry(self, name: str, method: str, arguments: dict[str, Any]) -> Deferred[Any]:
        """
        Carry a call of today's code.
        """
        said = {"to": name, "call": method, "with": {each: written(value) for each, value in arguments.items()}}
        for each, value in arguments.items():
            if isinstance(value, Exposed):
                self.objects[_name_of(each, arguments)] = value
        if self.replayed:
            return self._found(said)
        self.recording.append(said)
        target = self.objects[name]
        schema = getRemoteInterfaceByName(target.getInterfaceName())[method]
        passed = dict(arguments)
        for each, value in arguments.items():
            if isinstance(value, Exposed):
                passed[each] = self.reference(_name_of(each, arguments))
            else:
                schema.getKeywordArgConstraint(each)[1].checkObject(value, True)

        def answered(answer: Any) -> Any:
            said["answer"] = written(answer)
            return answer

        return maybeDeferred(target.doRemoteCall, method, (), passed).addCallback(answered)

    def other_side_speaks(self) -> None:
        """
        Make the next calls of the recorded side.
        """
        while theirs := self._left(lambda entry: not self._is_mine(entry)):
            if any(each < min(theirs) for each in self._left(self._is_mine)) or "cut" in self.recording[min(theirs)]:
                return
            self._done.add(min(theirs))
            entry = self.recording[min(theirs)]
            given = {name: value if _is_reference(value) else read(value) for name, value in entry["with"].items()}
            passed = {
                name: self.reference(_name_of(name, given)) if _is_reference(value) else value
                for name, value in given.items()
            }
            answer = maybeDeferred(self.objects[entry["to"]].doRemoteCall, entry["call"], (), passed)
            answer.addCallback(self._check, entry).addErrback(self._failed, entry)  # type: ignore[unused-awaitable]  # noted

    @property
    def left(self) -> Recording:
        """
        Return the recorded calls that were not made again.
        """
        return [self.recording[each] for each in self._left(lambda entry: True)]

    def _left(self, wanted: Callable[[dict[str, Any]], bool]) -> list[int]:
        return [at for at, entry in enumerate(self.recording) if at not in self._done and wanted(entry)]

    def _is_mine(self, entry: Mapping[str, Any]) -> bool:
        return "to" in entry and (entry["to"] == "slave") == (self.replayed == "master")

    def _found(self, said: dict[str, Any]) -> Deferred[Any]:
        for at in self._left(self._is_mine)[:1]:
            entry = self.recording[at]
            if says_no_less(said, {name: value for name, value in entry.items() if name != "answer"}):
                self._done.add(at)
                # A call that was interrupted by a cut has no answer.
                return succeed(read(entry["answer"])) if "answer" in entry else Deferred()
        self.broken.append(f"now it says {said}, then {[self.recording[at] for at in self._left(self._is_mine)[:1]]}")
        return fail(MessageError("This is not what was recorded."))

    def _check(self, answer: Any, entry: Mapping[str, Any]) -> None:
        if "answer" in entry and not says_no_less(written(answer), entry["answer"]):
            self.broken.append(f"{entry} is now answered with {answer!r}")

    def _failed(self, failure: Failure, entry: Mapping[str, Any]) -> None:
        if failure.check(LinkLostError) is None:
            self.broken.append(f"{entry} is now refused: {failure.value}")


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and "is" in value


def _name_of(argument: str, arguments: Mapping[str, Any]) -> str:
    return argument if argument == "slave" else f"{argument} {arguments['id'].decode()}"


# Today's two sides.


class MasterSide:
    """
    A session of the master and its commands: the role `Desk`.
    """

    def __init__(self, wire: RecordedLink) -> None:
        self.clock = Clock()
        self.session = Session("bot1", clock=self.clock, listener=RecordingListener())
        self.streams: dict[str, MemoryStreams] = {}
        self.outcomes: dict[str, Outcome] = {}
        self._wire = wire
        wire.objects["desk"] = ExposedDesk(self, Revocable())

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        self.session.attached(slave, hello)
        answer: Deferred[Welcome] = Deferred()
        answer.callback(Welcome(name="bot1", version="0.1.0", hints=("tcp:farm.example:9989",)))
        return answer

    def command(self, id: str, spec: Spec) -> None:
        """
        Start a command, as a build does.
        """
        streams = self.streams[id] = MemoryStreams()
        command = DispatchedCommand(
            id=id, spec=spec, secrets={"token": "sësame"}, grace=1800.0, streams=streams, sources={"tree": File()},
            home="h" * 32,
        )  # fmt: skip

        def over(outcome: Outcome) -> None:
            self.outcomes[id] = outcome
            command.committed()

        Deferred.fromCoroutine(self.session.run(command)).addCallback(over)  # type: ignore[unused-awaitable]  # cannot fail


class File:
    """
    A file that the slave downloads.
    """

    def read(self, offset: int, size: int) -> bytes:
        return FILE[offset : offset + size]


class SlaveSide:
    """
    A slave's agent with a fake keeper.
    """

    def __init__(self, test: SynchronousTestCase, wire: RecordedLink) -> None:
        self.machine = SimulatedMachine(new_directory(test))
        self._wire = wire

    def attach(self) -> None:
        """
        Attach over a new link.
        """
        held = SynchronousTestCase().successResultOf(Deferred.fromCoroutine(self.machine.agent.held()))
        hello = Hello(
            home="h" * 32, incarnation="1" * 32, keeper="k" * 32, boot="b" * 36, version="0.1.0", space=1 << 40,
            platform={"system": "Linux", "node": "bot1"}, held=held,
        )  # fmt: skip
        desk: Desk = RemoteDesk(self._wire.reference("desk"), lambda slave: ExposedSlave(slave, Revocable()))
        attached = desk.attach(end := self.machine.link(), hello, "")
        self._wire.link.when_lost(end.lost)
        attached.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]  # the wire has noted it


# The script.


RUN_SPEC = Run(argv=("make", "-j2"), env={"LANG": "C", "TERM": None, "TOKEN": "\0token\0"}, logfiles={"x": "x.log"})


def steps_of(master: MasterSide | None, slave: SlaveSide | None, wire: RecordedLink) -> list[Callable[[], None]]:
    """
    The script: an attach, a run with output, a cut, a resume, the end of the run, an upload, a download, an interrupt,
    a disown.
    """

    def master_does(work: Callable[[MasterSide], None]) -> Callable[[], None]:
        return lambda: work(master) if master is not None else None

    def slave_does(work: Callable[[SlaveSide], object]) -> Callable[[], None]:
        def does() -> None:
            if slave is not None:
                work(slave)

        return does

    download = Download("in/tree", "tree", len(FILE), hashlib.sha256(FILE).hexdigest())
    return [
        slave_does(lambda b: b.machine.put("out/hello.tar", bytes(range(256)))),
        slave_does(lambda b: b.attach()),
        master_does(lambda m: m.command(RUN, RUN_SPEC)),
        slave_does(lambda b: b.machine.keeper.write(RUN, b"compiling \xff\n")),
        slave_does(lambda b: b.machine.keeper.write(RUN, b"done\n", "x")),
        wire.cut,
        slave_does(lambda b: b.machine.keeper.write(RUN, b"linking\n")),
        slave_does(lambda b: b.attach()),
        slave_does(lambda b: b.machine.keeper.end(RUN, 2, ("stdio", "x"))),
        master_does(lambda m: m.command(PUT, Upload("out/hello.tar", largest=1000))),
        master_does(lambda m: m.command(GET, download)),
        master_does(lambda m: m.command(LONG, Run(script="sleep 1000"))),
        master_does(lambda m: m.session.interrupt(LONG, "stopped by Zoë")),
        master_does(lambda m: m.session.give_up("the machine is gone")),
    ]


def play(test: SynchronousTestCase, wire: RecordedLink) -> tuple[MasterSide | None, SlaveSide | None]:
    """
    Run the script: between today's two sides, or with the *replayed* side against the recording.
    """
    master = MasterSide(wire) if wire.replayed != "slave" else None
    slave = SlaveSide(test, wire) if wire.replayed != "master" else None
    for step in steps_of(master, slave, wire):
        step()
        for _ in range(5):
            if wire.replayed:
                wire.other_side_speaks()
            if slave is not None:
                slave.machine.settle()
    return master, slave
