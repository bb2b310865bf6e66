"""
The slave's side of a session with the master.
"""

import os
from collections.abc import Mapping

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    BuildbotLiteError,
    KeeperLostError,
    LinkLostError,
    PinnedError,
    SupersededError,
)
from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.spec import Run, fingerprint
from buildbot_lite.slave.directory import SlaveDirectory
from buildbot_lite.slave.epochs import SeenEpochs
from buildbot_lite.slave.keeper_messages import KeeperListener
from buildbot_lite.slave.leftovers import LeftoverKind, Leftovers
from buildbot_lite.slave.removal import Removal
from buildbot_lite.slave.session import (
    PAUSE_WITHOUT_KEEPER,
    RENEWAL_INTERVAL,
    Session,
)
from buildbot_lite.wire.loopback import LoopbackLink
from buildbot_lite.wire.roles import Slave

from .fakes import (
    FakeCommand,
    SimulatedMachine,
    new_directory,
)

ID = "c4" * 16


class FakeKeeperClient:
    """
    A keeper client that records its calls.
    """

    def __init__(self) -> None:
        self.keeper = "keeper-1"
        self.boot = "boot-1"
        self.asked: list[str] = []
        self.ailing = 0
        self.holds = False

    async def ensure(self, news: KeeperListener) -> None:
        """
        Attach, unless *ailing*.
        """
        self.asked.append("ensure")
        if self.ailing:
            self.ailing -= 1
            raise KeeperLostError
        if self.holds:
            await Deferred[None]()
        news.attached({})

    def renew_leases(self, age: float) -> None:
        self.asked.append(f"word {age:g}")

    async def leave(self) -> None:
        self.asked.append("leave")

    async def stop(self) -> None:
        self.asked.append("stop")


class FakeDesk:
    """
    A master that answers when the test says so.
    """

    def __init__(self) -> None:
        self.greeted: list[tuple[Slave, Hello]] = []
        self.answers: list[Deferred[Welcome]] = []
        self.refusal: BuildbotLiteError | None = None

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        self.greeted.append((slave, hello))
        if self.refusal is not None:
            return fail(self.refusal)
        self.answers.append(Deferred())
        return self.answers[-1]

    def welcome(self) -> None:
        """
        Answer `attach`.
        """
        self.answers.pop(0).callback(Welcome("bot1", "0.1", hints=("tcp:farm.example:9989",)))


class FakeLink(LoopbackLink):
    """
    A link with a given silence.
    """

    age = 0.0

    def silence(self) -> float:
        return self.age


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A slave that was not started yet.
        """
        self.machine = SimulatedMachine(new_directory(self))
        self.home = SlaveDirectory(self.machine.directory)
        self.home.make()
        self.clock = self.machine.clock
        self.client = FakeKeeperClient()
        self.desk = FakeDesk()
        self.welcomes: list[Welcome] = []
        self.refusals: list[BuildbotLiteError] = []
        self.session = self.new_session()

    def new_session(self, leftovers: Leftovers | None = None) -> Session:
        """
        Create another process of the slave.
        """
        return Session(
            leftovers=leftovers,
            agent=self.machine.agent,
            client=self.client,
            directory=self.home,
            clock=self.clock,
            welcomed=self.welcomes.append,
            refused=self.refusals.append,
        )

    def test_attach(self) -> None:
        """
        A slave that reaches its master sends `hello`, and passes on the welcome.
        """
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        [(_, hello)] = self.desk.greeted
        self.assertEqual((hello.home, hello.keeper, hello.boot), (self.home.name, "keeper-1", "boot-1"))
        self.assertGreater(hello.space, 0)
        self.assertEqual(hello.held, ())

        self.desk.welcome()
        self.assertEqual([welcome.name for welcome in self.welcomes], ["bot1"])
        self.assertEqual(self.welcomes[0].hints, ("tcp:farm.example:9989",))

    def test_epoch(self) -> None:
        """
        Promise 8.10: the hello contains the highest epoch that the slave has seen for this master's key, also after a
        restart.  A welcome with a lower epoch is refused.  Epochs of different keys are independent.
        """
        self.session.start()
        for key, welcomed, said in (
            ("key-1", 0, 0),
            ("key-1", 7, 0),
            ("key-2", 3, 0),
            ("key-1", 8, 7),
            ("key-1", 7, 8),
        ):
            self.session.connected(self.desk, FakeLink(key))
            self.assertEqual(self.desk.greeted[-1][1].epoch, said)
            self.desk.answers.pop(0).callback(Welcome("bot1", "0.1", epoch=welcomed))
        self.assertEqual([welcome.epoch for welcome in self.welcomes], [0, 7, 3, 8])
        (refusal,) = self.refusals
        self.assertIsInstance(refusal, SupersededError)
        again = self.new_session()
        again.start()
        again.connected(self.desk, FakeLink("key-1"))
        self.assertEqual(self.desk.greeted[-1][1].epoch, 8)

    def test_leftovers(self) -> None:
        """
        Promise 9.4: what builds have left is looked for before the hello, and what the welcome does not name is
        removed; a master that names nothing is an older one, after whose welcome everything stays.
        """
        asked: list[object] = []

        def found() -> dict[str, str]:
            asked.append(len(self.desk.greeted))
            return {"b/build": "1", "c/build-2": "2"}

        def words(left: Mapping[str, str]) -> list[str]:
            asked.append(dict(left))
            return ["true"]

        removal = Removal(self.home.work, {"PATH": os.environ["PATH"]}, maybeDeferred)
        session = self.new_session(Leftovers(LeftoverKind(found, words), removal, self.clock))
        session.start()
        for building in (None, ("b/build",), ("b/build", "c")):
            session.connected(self.desk, FakeLink())
            self.desk.answers.pop(0).callback(Welcome("bot1", "0.1", building=building))
        self.assertEqual(asked, [0, 1, {"c/build-2": "2"}, 2])
        self.successResultOf(Deferred.fromCoroutine(session.stop()))

    def test_too_little_space(self) -> None:
        """
        Promise 8.9: a slave with less space than the welcome requires removes unused directories, and attaches again to
        report the removal.  With enough space, or over a lost link, it does nothing.
        """
        for name in ("stale", "used"):
            os.mkdir(os.path.join(self.home.work, name))
        more = 1 << 62
        self.session.start()
        for welcome in (Welcome("bot1", "0.1"), Welcome("bot1", "0.1", minspace=more, directories=("stale", "used"))):
            link = FakeLink()
            self.session.connected(self.desk, link)
            self.desk.answers.pop(0).callback(welcome)
            self.assertFalse(link.lost)
            link.drop("cut")
            self.clock.advance(RENEWAL_INTERVAL)
        self.assertEqual(sorted(os.listdir(self.home.work)), ["stale", "used"])
        link = FakeLink()
        self.session.connected(self.desk, link)
        self.desk.answers.pop(0).callback(Welcome("bot1", "0.1", minspace=more, directories=("used",)))
        self.assertTrue(link.lost)
        self.assertEqual(os.listdir(self.home.work), ["used"])
        again = FakeLink()
        self.session.connected(self.desk, again)
        self.assertEqual(self.desk.greeted[-1][1].removed, ("stale",))
        self.desk.answers.pop(0).callback(Welcome("bot1", "0.1", minspace=more, directories=("used",)))
        self.assertFalse(again.lost)

    def test_no_removal_over_a_lost_link(self) -> None:
        """
        Promise 8.9: a removal ends with the link, because the next welcome may name other directories; while a command
        is held no removal begins.
        """
        os.mkdir(os.path.join(self.home.work, "stale"))
        self.home.served.note(["stale"])
        welcome = Welcome("bot1", "0.1", minspace=1 << 62, directories=())
        self.session.start()
        link = FakeLink()
        self.session.connected(self.desk, link)
        self.machine.link().start(ID, Run(script="true"), {}, FakeCommand())  # type: ignore[unused-awaitable]
        self.desk.answers.pop(0).callback(welcome)
        self.clock.advance(1000)
        self.assertEqual(os.listdir(self.home.work), ["stale"])
        link.drop("cut")
        self.successResultOf(Deferred.fromCoroutine(self.machine.agent.forget_everything()))
        self.clock.advance(1000)
        self.assertEqual(os.listdir(self.home.work), ["stale"])

        link = FakeLink()
        self.session.connected(self.desk, link)
        self.machine.busy = True
        self.desk.answers.pop(0).callback(welcome)
        self.assertEqual((len(self.machine.threads), self.machine.killed), (1, 0))
        link.drop("cut")
        self.assertEqual(self.machine.killed, 1)

    def test_epochs_bounded(self) -> None:
        """
        The epochs of the latest masters are kept.  A damaged file counts as none.
        """
        path = self.mktemp()
        epochs = SeenEpochs(path)
        for number in range(50):
            epochs.note(f"key{number}", number + 1)
        self.assertEqual([epochs.highest(f"key{number}") for number in (0, 29, 30, 49)], [0, 0, 31, 50])
        with open(path, "wb") as file:
            file.write(b"\xff\nkey x y\nkey1 \xff\nkey2 5\n")
        self.assertEqual((epochs.highest("key1"), epochs.highest("key2")), (0, 5))

    def test_incarnation(self) -> None:
        """
        A process sends the same incarnation in every hello; another process sends another one.
        """
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.session.connected(self.desk, FakeLink())
        other = self.new_session()
        other.start()
        other.connected(self.desk, FakeLink())
        first, resend, third = (hello.incarnation for _, hello in self.desk.greeted)
        self.assertEqual(first, resend)
        self.assertNotEqual(first, third)

    def test_lease(self) -> None:
        """
        While the link is alive, the keeper is told every 10 seconds how long ago the master was heard; after its loss,
        no more.
        """
        link = FakeLink()
        self.session.start()
        self.session.connected(self.desk, link)
        self.assertEqual(self.client.asked, ["ensure"])
        self.desk.welcome()
        self.clock.advance(RENEWAL_INTERVAL)
        link.age = 12
        self.clock.advance(RENEWAL_INTERVAL)
        self.assertEqual(self.client.asked, ["ensure", "word 0", "word 0", "word 12"])
        link.drop("cut")
        self.clock.pump([RENEWAL_INTERVAL] * 5)
        self.assertEqual(self.client.asked, ["ensure", "word 0", "word 0", "word 12"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_keeper_yet(self) -> None:
        """
        Without a keeper there is no `hello`; the session tries again every 10 seconds.
        """
        self.client.ailing = 2
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.clock.advance(PAUSE_WITHOUT_KEEPER)
        self.assertEqual(self.desk.greeted, [])
        self.clock.advance(PAUSE_WITHOUT_KEEPER)
        self.assertEqual(len(self.desk.greeted), 1)
        self.assertEqual(self.client.asked, ["ensure"] * 3)
        self.flushLoggedErrors()

    def test_refused(self) -> None:
        """
        Promise 3: a refusal is passed on unchanged to the code that schedules the next attempt to connect.
        """
        self.desk.refusal = PinnedError()
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.assertEqual(self.refusals, [self.desk.refusal])
        self.assertEqual(self.client.asked, ["ensure"])

    def test_lost_while_attaching(self) -> None:
        """
        A link that breaks before the welcome is not a refusal.
        """
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.desk.answers[0].errback(LinkLostError())
        self.assertEqual((self.refusals, self.welcomes), ([], []))

    def test_commands_before_welcome(self) -> None:
        """
        The master may send commands before its welcome has arrived.
        """
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        [(slave, _)] = self.desk.greeted
        spec = Run(argv=("true",))
        self.successResultOf(slave.start(ID, spec, {}, FakeCommand()))
        self.desk.welcome()

        self.session.connected(self.desk, FakeLink())
        self.assertEqual([item.fingerprint for item in self.desk.greeted[1][1].held], [fingerprint(spec)])

    def test_link_lost(self) -> None:
        """
        After the loss of a link, calls over it are refused.
        """
        link = FakeLink()
        self.session.start()
        self.session.connected(self.desk, link)
        link.drop("cut")
        [(slave, _)] = self.desk.greeted
        self.failureResultOf(slave.start(ID, Run(argv=("true",)), {}, FakeCommand()), LinkLostError)

    def test_drop(self) -> None:
        """
        A master that drops its slave cuts the link.
        """
        link = FakeLink()
        self.session.start()
        self.session.connected(self.desk, link)
        self.desk.greeted[0][0].drop("connected again")
        self.assertTrue(link.lost)

    def test_stop(self) -> None:
        """
        Stopping the slave leaves the keeper alone, and no timer runs.
        """
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.desk.welcome()
        self.successResultOf(Deferred.fromCoroutine(self.session.stop()))
        self.assertEqual(self.client.asked, ["ensure", "word 0", "leave"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_kill(self) -> None:
        """
        Stopping the slave with `kill` makes the keeper end everything.
        """
        self.session.start()
        self.successResultOf(Deferred.fromCoroutine(self.session.stop(kill=True)))
        self.assertEqual(self.client.asked, ["ensure", "stop"])

    def test_stopped_early(self) -> None:
        """
        A session can be stopped before a keeper is attached.
        """
        self.client.holds = True
        self.session.start()
        self.session.connected(self.desk, FakeLink())
        self.successResultOf(Deferred.fromCoroutine(self.session.stop()))
        self.assertEqual(self.desk.greeted, [])
