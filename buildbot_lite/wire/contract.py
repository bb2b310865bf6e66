"""
What may travel between two ends, and how much of it.

Only references, offsets and bytes are Foolscap's arguments.  Everything with a structure is one bounded byte string of
JSON, which ``model/`` reads, so that versions may differ.  No text travels as text: Foolscap checks the length of
`unicode` only after all of it is in memory, while bytes and integers are bounded as they arrive.

::

    master                                         slave
    RIDesk     <------------- attach(slave, hello) -------
               -- welcome ------------------------------->
               -- start(id, spec + secrets, command) -----> RISlave
               -- resume(id, command, have) -------------->
               -- interrupt(id, reason) · disown(id) ----->
    RICommand  <---------- append(stream, offset, data) --
               -- length | LATER ------------------------>    (the answer is the flow control)
               <------------- read(name, offset, size) ---
               -- data ---------------------------------->
               <---------------------- finished(outcome) -
               -- streams to send again ----------------->

    RISubmission, RIControl <------------- not_a_desk() --   (it came with the wrong string)

    master                                         flappclient (stock: it knows no interface)
    RISubmission <-- execute(watcher) | putfile(name, source)
               -- stdout(data) · stderr(data) · done(signal, code) --> watcher
    RIStdin    <-- feed_stdin(data) · close_stdin()
               -- read(size) ------------------------------> source

    master                                         buildbot-lite (the command)
    RIControl  <-- ask(request) · follow(request, follower)
               -- chunk(data) -----------------------------> RIFollower
               -- answer --------------------------------->

Names end in ``.buildbot-lite``, because Foolscap keeps one register of interfaces per process.
"""

from foolscap.api import RemoteInterface
from foolscap.remoteinterface import RemoteInterfaceConstraint
from foolscap.schema import ByteStringConstraint, ChoiceOf, IntegerConstraint, Nothing

from ..model.hello import LARGEST_HELLO
from ..model.outcome import LARGEST_OUTCOME
from ..model.spec import LARGEST_SPEC

# One chunk of a stream, of a file, of standard input.  Ours have 256 KiB; the rest is room for later versions.
LARGEST_CHUNK = 1 << 20
# A command's id, a stream's or a file's name, an interface's name, a file's name that a submitter chose.
LONGEST_ID = 100
LONGEST_NAME = 200
LONGEST_FILE_NAME = 1024
# What follows the last slash of a FURL.
LONGEST_SWISSNUM = 100
# Why something is interrupted.
LONGEST_REASON = 2000
# How much of each stream the master has, and which streams to send again.
LARGEST_LENGTHS = 64 << 10
LARGEST_QUESTION = 1 << 20
LARGEST_ANSWER = 16 << 20
# A sentence that refuses something; the same bound as Foolscap's own.
LONGEST_SENTENCE = 1000
# Offsets and lengths have at most 8 bytes.
BYTES_OF_OFFSET = 8

# A method's name, an argument's name, a call's number of arguments.
LONGEST_WORD = 64
MOST_ARGUMENTS = 8
# Calls of one peer that wait for our answer, and the bytes in their arguments.
MOST_CALLS = 1000
# Objects of one peer's that we know; a slave knows one of each command that it holds.
MOST_REFERENCES = 4000
MOST_BYTES_IN_CALLS = 64 << 20
# Answers that a peer asked for and does not read.
MOST_BYTES_UNREAD = 16 << 20

# Links on which one string was shown.  A slave needs one, and a few that are not known to be dead.
MOST_LINKS = 2000
MOST_LINKS_OF_A_SLAVE = 20
# Lines of our log about connections that were cut: their holders can come again at once.
LOG_LINES_BURST = 1000
LOG_LINES_PER_SECOND = 5.0
# How much of our time the links of one string may take, of each second; how many seconds of it may be saved up; and how
# many seconds a byte of a stream may cost that are not counted, three times what it does.
HOLDER_SHARE = 0.5
HOLDER_BURST = 2.0
# Questions of one holder that are worked on at a time, and that may wait; clients of one that are told something.
QUESTIONS_AT_ONCE = 2
MOST_QUESTIONS = 100
MOST_FOLLOWERS = 1000
FREE_SECONDS_PER_BYTE = 0.01 / (1 << 20)

# Connections that have not shown a valid string.
MOST_UNAUTHENTICATED = 4096
UNAUTHENTICATED_BYTES = 64 << 10
UNAUTHENTICATED_SECONDS = 20.0
UNAUTHENTICATED_CALLS = 16
# The first message of a TLS handshake, and how many may be between it and the handshake's end.
LARGEST_CLIENT_HELLO = 8 << 10
MOST_HANDSHAKES = 256
# Preauth by which who has a slave's string goes first (`preauth`): at once, and then a second.
PREAUTH_BURST = 10.0
PREAUTH_PER_SECOND = 0.5
# How much of our time they may take, while others want some.
UNAUTHENTICATED_SHARE = 1 / 3
# Peers of whom it is remembered how often they connected.
MOST_PEERS = 10_000

# Seconds.  A link is pinged when it has been silent for KEEPALIVE, and given up when silent for SILENCE.
KEEPALIVE = 10.0
SILENCE = 25.0
CONNECT = 15.0
NEGOTIATION = 20.0
# Between two attempts to connect: the first, how much longer each is than the one before, the longest; each varies by
# this share of itself.
FIRST_DELAY = 0.5
DELAY_FACTOR = 1.5
LONGEST_DELAY = 30.0
JITTER = 0.3
# After a refusal, which time alone will not change: what is unknown may yet be added, what is revoked stays so.
REFUSED_DELAY = 60.0
REVOKED_DELAY = 3600.0
# From closing politely to cutting.
LINGER = 2.0

_Id = ByteStringConstraint(LONGEST_ID)
_Name = ByteStringConstraint(LONGEST_NAME)
_Offset = IntegerConstraint(BYTES_OF_OFFSET)
_Chunk = ByteStringConstraint(LARGEST_CHUNK)
_Lengths = ByteStringConstraint(LARGEST_LENGTHS)
_Nothing = Nothing()

AnyReference = RemoteInterfaceConstraint(None)
Chunk = _Chunk
# What a stock client answers to ``stdout`` and the like.
Acknowledgement = _Nothing


class RIBoundedBroker(RemoteInterface):
    """
    Foolscap's own object 0, which everyone may call who knows the address: its bounds, instead of none.
    """

    __remote_name__ = "RIBoundedBroker.buildbot-lite"

    def getReferenceByName(name=ByteStringConstraint(LONGEST_SWISSNUM)):
        return AnyReference

    def decref(clid=_Offset, count=_Offset):
        return _Nothing


class RICommand(RemoteInterface):
    """
    The master's end of one live command: `roles.Command`.
    """

    __remote_name__ = "RICommand.buildbot-lite"

    def append(stream=_Name, offset=_Offset, data=_Chunk):
        return _Offset

    def read(name=_Name, offset=_Offset, size=_Offset):
        return _Chunk

    def finished(outcome=ByteStringConstraint(LARGEST_OUTCOME)):
        return _Lengths


class RISlave(RemoteInterface):
    """
    The slave's end of a link: `roles.Slave`.
    """

    __remote_name__ = "RISlave.buildbot-lite"

    def start(id=_Id, spec=ByteStringConstraint(LARGEST_SPEC), command=RICommand):
        return _Nothing

    def resume(id=_Id, command=RICommand, have=_Lengths):
        return _Nothing

    def interrupt(id=_Id, reason=ByteStringConstraint(LONGEST_REASON)):
        return _Nothing

    def disown(id=_Id):
        return _Nothing


class RIDesk(RemoteInterface):
    """
    What a slave's FURL designates: `roles.Desk`.
    """

    __remote_name__ = "RIDesk.buildbot-lite"

    def attach(slave=RISlave, hello=ByteStringConstraint(LARGEST_HELLO)):
        return ByteStringConstraint(LARGEST_HELLO)


class RIStdin(RemoteInterface):
    """
    Where ``flappclient run-command`` sends its standard input, without waiting for an answer.
    """

    __remote_name__ = "RIStdin.buildbot-lite"

    def feed_stdin(data=_Chunk):
        return _Nothing

    def close_stdin():
        return _Nothing


class RISubmission(RemoteInterface):
    """
    What a submission's FURL designates: both verbs of ``flappclient``, of which each FURL obeys one.
    """

    __remote_name__ = "RISubmission.buildbot-lite"

    def execute(watcher=AnyReference):
        return ChoiceOf(RIStdin, None)

    def putfile(name=ByteStringConstraint(LONGEST_FILE_NAME), source=AnyReference):
        return _Nothing

    def watch(watcher=AnyReference):
        # Not of flappclient: what ``execute`` does, of a string to watch, and a refusal of any other.
        return _Nothing

    def not_a_desk():
        return _Nothing


class RIWatcher(RemoteInterface):
    """
    Whoever watches a request with the ``buildbot-lite`` command: what a ``flappclient`` is, with a schema.
    """

    __remote_name__ = "RIWatcher.buildbot-lite"

    def stdout(data=_Chunk):
        return _Nothing

    def stderr(data=_Chunk):
        return _Nothing

    def done(signal=ChoiceOf(ByteStringConstraint(40), None), exitcode=IntegerConstraint(4)):
        return _Nothing


class RIFollower(RemoteInterface):
    """
    Whoever follows something that grows, from the ``buildbot-lite`` command.
    """

    __remote_name__ = "RIFollower.buildbot-lite"

    def chunk(data=_Chunk):
        return _Nothing


class RIControl(RemoteInterface):
    """
    What the admin's and the control FURLs designate.
    """

    __remote_name__ = "RIControl.buildbot-lite"

    def ask(request=ByteStringConstraint(LARGEST_QUESTION)):
        return ByteStringConstraint(LARGEST_ANSWER)

    def follow(request=ByteStringConstraint(LARGEST_QUESTION), follower=RIFollower):
        return ByteStringConstraint(LARGEST_ANSWER)

    def not_a_desk():
        return _Nothing
