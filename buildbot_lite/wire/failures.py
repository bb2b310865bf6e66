"""
Failures on the wire: sent as the class's name and a sentence, never as a traceback.

Our own errors are sent with the name, by which the other side raises the same class, and the sentence for the user.
Any other exception is a defect or discloses internals: its text goes only to our log.

Stock Foolscap clients print the field ``traceback``, so it holds the sentence, too.

A peer may send anything.  So a received sentence is truncated and freed of control characters before it can reach a
terminal or a log, and a received name can only select one of our own classes.
"""

from typing import Any

from foolscap.call import ErrorSlicer, FailureSlicer
from foolscap.ipb import DeadReferenceError
from foolscap.tokens import (
    BananaError,
    NegotiationError,
    NoLocationHintsError,
    RemoteException,
    RemoteNegotiationError,
    Violation,
)
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.python.failure import Failure

from .. import errors
from ..errors import (
    BuildbotLiteError,
    DefectError,
    LinkLostError,
    MessageError,
    NoAnswerError,
    RefusedError,
)
from ..model.display import printable
from .contract import LONGEST_SENTENCE

INTERNAL_ERROR = "The other side failed with an internal error.  Its log has the details."
_CUT = "\n…".encode()
NOT_IN_THE_CONTRACT = "The other side's protocol does not have this call."

# The classes that a received name may select: all but those that describe our own side.
_KNOWN: dict[str, type[BuildbotLiteError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, BuildbotLiteError) and kind not in {LinkLostError, NoAnswerError}
}


class NotOfferedError(Violation):
    """
    A call of a method that the object does not have, because the FURL is for something else.
    """

    def __str__(self) -> str:
        return str(errors.WrongVerbError())


def sentence_of(failure: Failure) -> tuple[str, str]:
    """
    The name of the class and the sentence to send for *failure*.
    """
    error = failure.value
    if isinstance(error, NotOfferedError):
        return errors.WrongVerbError.__name__, str(error)
    if isinstance(error, Violation):
        return MessageError.__name__, NOT_IN_THE_CONTRACT
    if isinstance(error, BuildbotLiteError):
        return type(error).__name__, str(error)
    # Peers of earlier versions take a name that they do not know for a refusal.
    return DefectError.__name__, INTERNAL_ERROR


def is_expected(failure: Failure) -> bool:
    """
    Whether *failure* is no defect: it was raised on purpose, or the call broke the contract.
    """
    return isinstance(failure.value, BuildbotLiteError | Violation)


class _SentenceFailureSlicer(FailureSlicer):
    slices = None  # not registered: `SentenceErrorSlicer` uses it directly

    def getStateToCopy(self, obj: Failure, broker: object) -> dict[str, Any]:
        kind, sentence = sentence_of(obj)
        text = _cut(sentence).encode("utf-8", "replace")
        return {
            "type": f"buildbot_lite.errors.{kind}".encode(),
            "value": text,
            "traceback": text + b"\n",
            "parents": [],
        }


class SentenceErrorSlicer(ErrorSlicer):
    """
    Foolscap's ``error`` message, with our sentence.
    """

    def sliceBody(self, streamable, banana):
        yield self.reqID
        yield _SentenceFailureSlicer(self.f)


def translated(failure: Failure) -> Failure:
    """
    An errback for remote calls: converts exceptions of Foolscap and Twisted to ours.
    """
    return Failure(our_error(failure.value))


def our_error(error: BaseException | None) -> BaseException:
    """
    Our error for *error*, which Foolscap or Twisted raised for a call or a connection.
    """
    if isinstance(error, RemoteException):
        remote = error.failure
        kind = getattr(remote.type, "__name__", "")
        sentence = _cut(str(remote.value))
        if kind == RefusedError.__name__ and sentence == INTERNAL_ERROR:
            return DefectError(sentence)  # of an earlier version
        return _KNOWN.get(kind, RefusedError)(sentence)
    if isinstance(error, DeadReferenceError | ConnectionClosed):
        return LinkLostError()
    if isinstance(error, Violation | BananaError):
        return MessageError("The other side's answer is not valid in this protocol.")
    return error or LinkLostError()


def would_block(error: BaseException) -> bool:
    """
    Whether the other side failed with BlockingIOError.
    """
    return isinstance(error, RemoteException) and getattr(error.failure.type, "__name__", "") == "BlockingIOError"


def why_unreachable(error: BaseException | None) -> str:
    """
    The reason for "cannot connect: …", for an attempt that failed before there was a link.
    """
    if isinstance(error, DNSLookupError):
        return "its host name cannot be resolved"
    if isinstance(error, ConnectError):
        return _cut(type(error).__doc__ or str(error)).strip().rstrip(".").lower()
    if isinstance(error, NoLocationHintsError):
        return "this program knows no way to such an address, only to tcp:HOST:PORT"
    if isinstance(error, BananaError | RemoteNegotiationError) and wrong_master(error):
        return "another farm answers there, or the master has a new key"
    if isinstance(error, NegotiationError):
        return "no answer came in time"
    if isinstance(error, BananaError | RemoteNegotiationError):
        return "the program that answers there does not speak this protocol"
    return _cut(str(our_error(error)) or type(error).__name__)


def wrong_master(error: BaseException | None) -> bool:
    """
    Whether the attempt that failed with *error* reached a Tub, but not the one that the FURL names.
    """
    text = str(error)
    return any(sign in text for sign in ("unknown TubID", "wrong Tub", "TubID mismatch"))


def _cut(sentence: str) -> str:
    """
    *sentence* with at most `LONGEST_SENTENCE` bytes.  One of several lines ends with a whole one.
    """
    text = printable(sentence[: LONGEST_SENTENCE + 1], longest=LONGEST_SENTENCE + 1, lines=True)
    sent = text.encode("utf-8", "replace")
    if len(sent) <= LONGEST_SENTENCE:
        return text
    kept = sent[: LONGEST_SENTENCE - len(_CUT)]
    whole = kept.rpartition(b"\n")[0]
    return (whole + _CUT if whole else kept + _CUT.strip()).decode("utf-8", "ignore")
