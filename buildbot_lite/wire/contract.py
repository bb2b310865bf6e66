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
               -- open_shell(request, terminal) ----------> RISlave
               <------------------------------- RIShell --
    RITerminal <------------ output(data) · errors(data) --      (an answer acknowledges the bytes, both ways)
               <--------------- ended(exit_code, reason) --
               -- input(data) · end_input() -------------> RIShell
               -- resize(rows, columns) · hang_up() ------>
    RICommand  <---------- append(stream, offset, data) --
               -- length | LATER ------------------------>    (the answer is the flow control)
               <------------- read(name, offset, size) ---
               -- data ---------------------------------->
               <---------------------- finished(outcome) -
               -- streams to send again ----------------->

    RISubmission, RIControl <------------- not_a_desk() --   (the slave's FURL is not for a slave)

    master                                         flappclient (stock: without our interfaces)
    RISubmission <-- execute(watcher) | putfile(name, source)
               -- stdout(data) · stderr(data) · done(signal, code) --> watcher
    RIStdin    <-- feed_stdin(data) · close_stdin()
               -- read(size) ------------------------------> source

    master                                         buildbot-lite (the command)
    RISubmission <-- submit_patch(watcher, base) · submit_file(watcher)
                     submit_with(watcher, options)
    RISubmission <-- watch(watcher) · watch_request(watcher, request)
               -- stdout(data) · stderr(data) · done(signal, code) --> RIWatcher
    RIControl, RISubmission <-- ask(request) · follow(request, follower)
               -- chunk(data) -----------------------------> RIFollower
               -- answer --------------------------------->
    RIControl  <-- open_shell(request, terminal)
               -- RIShell ------------------------------->       (RIShell and RITerminal as above)

Names end in ``.buildbot-lite``, because Foolscap keeps one registry of interfaces per process.
"""

from foolscap.api import RemoteInterface
from foolscap.remoteinterface import RemoteInterfaceConstraint
from foolscap.schema import ByteStringConstraint, ChoiceOf, IntegerConstraint, Nothing

from ..model.hello import LARGEST_HELLO
from ..model.outcome import LARGEST_OUTCOME
from ..model.patch_base import LONGEST_BASE
from ..model.shell_request import LARGEST_SHELL_REQUEST
from ..model.spec import LARGEST_SPEC

# Bytes of one chunk of a stream, a file, standard input.  We send at most 256 KiB; later versions may send more.
LARGEST_CHUNK = 1 << 20
# Bytes of the id of a command.
LONGEST_ID = 100
# Bytes of the name of a stream, an input or an interface.
LONGEST_NAME = 200
# Bytes of the name of a submitted file.
LONGEST_FILE_NAME = 1024
# Bytes after the last slash of a FURL.
LONGEST_SWISSNUM = 100
# Bytes of the reason of an interrupt.
LONGEST_REASON = 2000
# Bytes of the JSON with the lengths of streams, or with the names of streams to send again.
LARGEST_LENGTHS = 64 << 10
# Bytes of the JSON of a question of the ``buildbot-lite`` command, and of its answer.
LARGEST_QUESTION = 1 << 20
LARGEST_ANSWER = 16 << 20
# Bytes of the sentence of an error; Foolscap has the same bound.
LONGEST_SENTENCE = 1000
# Bytes of a piece of a shell's input or output; unacknowledged bytes of a shell in one direction, of which each piece
# counts as at least LEAST_SHELL_CHARGE; unanswered pieces of a shell in one direction, of peers that count bytes alone:
# with as many shells as a slave has, fewer than MOST_CALLS.
LARGEST_SHELL_PIECE = 16 << 10
SHELL_WINDOW = 64 << 10
LEAST_SHELL_CHARGE = 1 << 10
MOST_SHELL_PIECES = 100
# Bytes of an offset or a length.
BYTES_OF_OFFSET = 8

# Bytes of the name of a method, an argument or an attribute.
LONGEST_IDENTIFIER = 64
# Number of arguments of a call.
MOST_ARGUMENTS = 8
# Unanswered calls of one peer, and the bytes of their arguments.
MOST_CALLS = 1000
MOST_BYTES_IN_CALLS = 64 << 20
# Our references to objects of one peer.  A slave has one for each command that it holds.
MOST_REFERENCES = 4000
# Bytes of answers that a peer has not read.
MOST_BYTES_UNREAD = 16 << 20

# Links on which one FURL was presented; a slave needs one, and a few whose loss was not detected yet.
MOST_LINKS = 2000
MOST_LINKS_OF_A_SLAVE = 20
# Token bucket for log lines about connections that were cut, as the peers can connect again at once.
LOG_LINES_BURST = 1000
LOG_LINES_PER_SECOND = 5.0
# Token bucket for the CPU time of all links of one holder: seconds per second, and seconds that may be saved up.
HOLDER_SHARE = 0.5
HOLDER_BURST = 2.0
# Seconds of CPU time that are refunded for each byte of a stream: three times the usual cost.
FREE_SECONDS_PER_BYTE = 0.01 / (1 << 20)
# The same for bytes that are sent: only their acknowledgements are charged.
FREE_SECONDS_PER_SENT_BYTE = FREE_SECONDS_PER_BYTE / 8
# Questions of one holder that are answered at a time, and those that may be unanswered.
QUESTIONS_AT_ONCE = 2
MOST_QUESTIONS = 100
# Clients of one holder that follow something.
MOST_FOLLOWERS = 1000

# Number of unauthenticated connections.
MOST_UNAUTHENTICATED = 4096
# Bytes, seconds and calls of each of them.
UNAUTHENTICATED_BYTES = 64 << 10
UNAUTHENTICATED_SECONDS = 20.0
UNAUTHENTICATED_CALLS = 16
# Bytes of a ClientHello.
LARGEST_CLIENT_HELLO = 8 << 10
# Connections that have sent more than a ClientHello, and have not ended the handshake.
MOST_HANDSHAKES = 256
# Token bucket for uses of one pre-authentication token (`preauth`): uses at once, and uses per second.
PREAUTH_BURST = 10.0
PREAUTH_PER_SECOND = 0.5
# CPU time of all unauthenticated connections, seconds per second.
UNAUTHENTICATED_SHARE = 1 / 3
# Peers whose number of connections is kept (`tub`).
MOST_PEERS = 10_000

# Seconds.  A link is pinged when it has been silent for KEEPALIVE, and given up when silent for SILENCE.
KEEPALIVE = 10.0
SILENCE = 25.0
# Seconds for a TCP connection to be made, and for Foolscap's negotiation on it.
CONNECT = 15.0
NEGOTIATION = 20.0
# Seconds between two attempts to connect: the first delay, the factor to the next one, the longest delay.  Each is
# varied at random by the fraction JITTER.
FIRST_DELAY = 0.5
DELAY_FACTOR = 1.5
LONGEST_DELAY = 30.0
JITTER = 0.3
# Seconds until the next attempt after a refusal: an unknown FURL may be added later, a revoked one stays revoked.
REFUSED_DELAY = 60.0
REVOKED_DELAY = 3600.0
# Seconds after which a connection that is being closed is cut, even if unsent data is left.
LINGER = 2.0

_Id = ByteStringConstraint(LONGEST_ID)
_Name = ByteStringConstraint(LONGEST_NAME)
_Offset = IntegerConstraint(BYTES_OF_OFFSET)
_Chunk = ByteStringConstraint(LARGEST_CHUNK)
_Lengths = ByteStringConstraint(LARGEST_LENGTHS)
_ShellPiece = ByteStringConstraint(LARGEST_SHELL_PIECE)
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


class RITerminal(RemoteInterface):
    """
    The end of a shell at which somebody sits: `shells.ShellTerminal`.
    """

    __remote_name__ = "RITerminal.buildbot-lite"

    def output(data=_ShellPiece):
        return _Nothing

    def errors(data=_ShellPiece):
        return _Nothing

    def ended(exit_code=IntegerConstraint(4), reason=ByteStringConstraint(LONGEST_REASON)):
        return _Nothing


class RIShell(RemoteInterface):
    """
    An open shell: `shells.OpenShell`.
    """

    __remote_name__ = "RIShell.buildbot-lite"

    def input(data=_ShellPiece):
        return _Nothing

    def end_input():
        return _Nothing

    def resize(rows=IntegerConstraint(4), columns=IntegerConstraint(4)):
        return _Nothing

    def hang_up():
        return _Nothing


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

    def open_shell(request=ByteStringConstraint(LARGEST_SHELL_REQUEST), terminal=RITerminal):
        # Slaves before 0.2 do not have it; a hello says whether a slave does (`Hello.shells`).
        return RIShell


class RIDesk(RemoteInterface):
    """
    The object of a slave's FURL: `roles.Desk`.
    """

    __remote_name__ = "RIDesk.buildbot-lite"

    def attach(slave=RISlave, hello=ByteStringConstraint(LARGEST_HELLO)):
        return ByteStringConstraint(LARGEST_HELLO)


class RIStdin(RemoteInterface):
    """
    Receives the standard input of ``flappclient run-command``, which does not wait for answers.
    """

    __remote_name__ = "RIStdin.buildbot-lite"

    def feed_stdin(data=_Chunk):
        return _Nothing

    def close_stdin():
        return _Nothing


class RIFollower(RemoteInterface):
    """
    The ``buildbot-lite`` command that follows a log or the like.
    """

    __remote_name__ = "RIFollower.buildbot-lite"

    def chunk(data=_Chunk):
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
        # For the ``buildbot-lite`` command: like ``execute``, but refused by FURLs that are not for watching.
        return _Nothing

    def watch_request(watcher=AnyReference, request=_Offset):
        # Like ``watch``, for one of the requests that the FURL permits to watch.
        return _Nothing

    def submit_patch(watcher=AnyReference, base=ByteStringConstraint(LONGEST_BASE)):
        # Like ``execute``, for a patch that applies to *base*.  The output is a JSON object with the requests,
        # their builders and the watch FURL; the requests are not followed.
        return ChoiceOf(RIStdin, None)

    def submit_file(watcher=AnyReference):
        # The same for any other file.
        return ChoiceOf(RIStdin, None)

    def submit_with(watcher=AnyReference, options=ByteStringConstraint(LARGEST_QUESTION)):
        # Like ``submit_file``, with a JSON object for the scheduler that examines the file.
        return ChoiceOf(RIStdin, None)

    def ask(request=ByteStringConstraint(LARGEST_QUESTION)):
        # Like ``ask`` of an admin's FURL, about submissions with this one.
        return ByteStringConstraint(LARGEST_ANSWER)

    def follow(request=ByteStringConstraint(LARGEST_QUESTION), follower=RIFollower):
        # Like ``follow`` of an admin's FURL, about submissions with this one.
        return ByteStringConstraint(LARGEST_ANSWER)

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


class RIControl(RemoteInterface):
    """
    The object of an admin or control FURL.
    """

    __remote_name__ = "RIControl.buildbot-lite"

    def ask(request=ByteStringConstraint(LARGEST_QUESTION)):
        return ByteStringConstraint(LARGEST_ANSWER)

    def follow(request=ByteStringConstraint(LARGEST_QUESTION), follower=RIFollower):
        return ByteStringConstraint(LARGEST_ANSWER)

    def open_shell(request=ByteStringConstraint(LARGEST_QUESTION), terminal=RITerminal):
        return RIShell

    def not_a_desk():
        return _Nothing
