"""
The contract: every remote call, its schema, and every bound.

Foolscap's arguments are references, integers and bytes only.  Structured values are one bounded byte string of JSON,
which ``model/`` reads, so that versions may differ.  Text is sent as bytes: Foolscap checks the length of `unicode`
only when all of it is in memory, while bytes and integers are bounded as they arrive.

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

    RISubmission, RIControl <------------- not_a_desk() --   (the slave has another verb's FURL)

    master                                         flappclient (stock: without our interfaces)
    RISubmission <-- execute(watcher) | putfile(name, source)
               -- stdout(data) · stderr(data) · done(signal, code) --> watcher
    RIStdin    <-- feed_stdin(data) · close_stdin()
               -- read(size) ------------------------------> source

    master                                         buildbot-lite (the command)
    RISubmission <-- submit_patch(watcher, base) · watch(watcher) · watch_request(watcher, request)
               -- stdout(data) · stderr(data) · done(signal, code) --> RIWatcher
    RIControl  <-- ask(request) · follow(request, follower)
               -- chunk(data) -----------------------------> RIFollower
               -- answer --------------------------------->

Names end in ``.buildbot-lite``, because Foolscap keeps one registry of interfaces per process.
"""

from foolscap.api import RemoteInterface
from foolscap.remoteinterface import RemoteInterfaceConstraint
from foolscap.schema import ByteStringConstraint, ChoiceOf, IntegerConstraint, Nothing

from ..model.hello import LARGEST_HELLO
from ..model.outcome import LARGEST_OUTCOME
from ..model.patch_base import LONGEST_BASE
from ..model.spec import LARGEST_SPEC

# Bytes of one chunk of a stream, a file, standard input.  We send at most 256 KiB; later versions may send more.
LARGEST_CHUNK = 1 << 20
# Bytes of a command's id; of the name of a stream, an input or an interface; of the name of a submitted file.
LONGEST_ID = 100
LONGEST_NAME = 200
LONGEST_FILE_NAME = 1024
# Bytes after the last slash of a FURL.
LONGEST_SWISSNUM = 100
# Bytes of the reason of an interrupt.
LONGEST_REASON = 2000
# Bytes of the JSON with lengths of streams, and with names of streams to send again; of a question; of its answer.
LARGEST_LENGTHS = 64 << 10
LARGEST_QUESTION = 1 << 20
LARGEST_ANSWER = 16 << 20
# Bytes of the sentence of an error; Foolscap has the same bound.
LONGEST_SENTENCE = 1000
# Bytes of an offset or a length.
BYTES_OF_OFFSET = 8

# Bytes of the name of a method or an argument; arguments of a call.
LONGEST_WORD = 64
MOST_ARGUMENTS = 8
# Unanswered calls of one peer, and the bytes of their arguments.
MOST_CALLS = 1000
MOST_BYTES_IN_CALLS = 64 << 20
# References to objects of one peer; a slave has one for each command that it holds.
MOST_REFERENCES = 4000
# Bytes of answers that a peer has not read.
MOST_BYTES_UNREAD = 16 << 20

# Links on which one FURL was shown.  A slave needs one, and a few whose loss was not detected yet.
MOST_LINKS = 2000
MOST_LINKS_OF_A_SLAVE = 20
# Lines of our log about connections that were cut: the peers can connect again at once.
LOG_LINES_BURST = 1000
LOG_LINES_PER_SECOND = 5.0
# CPU time of the links of one holder: seconds per second; seconds that may be saved up; seconds per byte of a stream
# that are refunded, three times the usual cost.
HOLDER_SHARE = 0.5
HOLDER_BURST = 2.0
# Questions of one holder that are answered at a time; unanswered ones; clients that follow something.
QUESTIONS_AT_ONCE = 2
MOST_QUESTIONS = 100
MOST_FOLLOWERS = 1000
FREE_SECONDS_PER_BYTE = 0.01 / (1 << 20)
# The same for bytes that are sent: only their acknowledgements are charged.
FREE_SECONDS_PER_SENT_BYTE = FREE_SECONDS_PER_BYTE / 8

# Unauthenticated connections; of each: bytes, seconds, calls.
MOST_UNAUTHENTICATED = 4096
UNAUTHENTICATED_BYTES = 64 << 10
UNAUTHENTICATED_SECONDS = 20.0
UNAUTHENTICATED_CALLS = 16
# Bytes of a ClientHello; connections between it and the end of the handshake.
LARGEST_CLIENT_HELLO = 8 << 10
MOST_HANDSHAKES = 256
# Uses of one pre-authentication token (`preauth`): at once; per second.
PREAUTH_BURST = 10.0
PREAUTH_PER_SECOND = 0.5
# CPU time of all unauthenticated connections, seconds per second.
UNAUTHENTICATED_SHARE = 1 / 3
# Peers of which the number of connections is kept.
MOST_PEERS = 10_000

# Seconds.  A link is pinged when it has been silent for KEEPALIVE, and given up when silent for SILENCE.
KEEPALIVE = 10.0
SILENCE = 25.0
CONNECT = 15.0
NEGOTIATION = 20.0
# Seconds between two attempts to connect: the first, the factor between two, the longest, and the random variation as a
# fraction.
FIRST_DELAY = 0.5
DELAY_FACTOR = 1.5
LONGEST_DELAY = 30.0
JITTER = 0.3
# Seconds until the next attempt after a refusal: an unknown FURL may be added later, a revoked one stays revoked.
REFUSED_DELAY = 60.0
REVOKED_DELAY = 3600.0
# Seconds from closing, with the rest still sent, to cutting.
LINGER = 2.0

_Id = ByteStringConstraint(LONGEST_ID)
_Name = ByteStringConstraint(LONGEST_NAME)
_Offset = IntegerConstraint(BYTES_OF_OFFSET)
_Chunk = ByteStringConstraint(LARGEST_CHUNK)
_Lengths = ByteStringConstraint(LARGEST_LENGTHS)
_Nothing = Nothing()

AnyReference = RemoteInterfaceConstraint(None)
Chunk = _Chunk
# The answer of a stock client to ``stdout`` and the like.
Acknowledgement = _Nothing


class RIBoundedBroker(RemoteInterface):
    """
    Foolscap's object 0, which any peer may call, with bounds; the stock one has none.
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
    The object of a slave's FURL: `roles.Desk`.
    """

    __remote_name__ = "RIDesk.buildbot-lite"

    def attach(slave=RISlave, hello=ByteStringConstraint(LARGEST_HELLO)):
        return ByteStringConstraint(LARGEST_HELLO)


class RIStdin(RemoteInterface):
    """
    Receives the standard input of ``flappclient run-command``, which waits for no answer.
    """

    __remote_name__ = "RIStdin.buildbot-lite"

    def feed_stdin(data=_Chunk):
        return _Nothing

    def close_stdin():
        return _Nothing


class RISubmission(RemoteInterface):
    """
    The object of a submission's FURL: both verbs of ``flappclient``, of which each FURL serves one.
    """

    __remote_name__ = "RISubmission.buildbot-lite"

    def execute(watcher=AnyReference):
        return ChoiceOf(RIStdin, None)

    def putfile(name=ByteStringConstraint(LONGEST_FILE_NAME), source=AnyReference):
        return _Nothing

    def watch(watcher=AnyReference):
        # Not flappclient's: like ``execute``, but refused by every FURL that is not for watching.
        return _Nothing

    def watch_request(watcher=AnyReference, request=_Offset):
        # The same, for one request of those that the FURL is for.
        return _Nothing

    def submit_patch(watcher=AnyReference, base=ByteStringConstraint(LONGEST_BASE)):
        # Like ``execute``, for a patch that applies to *base*.  The output is a JSON object with the requests,
        # their builders and the watch FURL; the requests are not followed.
        return ChoiceOf(RIStdin, None)

    def not_a_desk():
        return _Nothing


class RIWatcher(RemoteInterface):
    """
    The ``buildbot-lite`` command that watches a request: like a ``flappclient``, with a schema.
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
    The ``buildbot-lite`` command that follows a log or the like.
    """

    __remote_name__ = "RIFollower.buildbot-lite"

    def chunk(data=_Chunk):
        return _Nothing


class RIControl(RemoteInterface):
    """
    The object of an admin's or a control FURL.
    """

    __remote_name__ = "RIControl.buildbot-lite"

    def ask(request=ByteStringConstraint(LARGEST_QUESTION)):
        return ByteStringConstraint(LARGEST_ANSWER)

    def follow(request=ByteStringConstraint(LARGEST_QUESTION), follower=RIFollower):
        return ByteStringConstraint(LARGEST_ANSWER)

    def not_a_desk():
        return _Nothing
