"""
Readers of Foolscap's tokens ("unslicers"), each token bounded before it is in memory.

Foolscap bounds what a schema describes, but nothing before the schema is known: the name of the method, the names of
arguments, the name and address of a reference.  So an unauthenticated peer could declare 2 GiB for a method's name.
Foolscap also accepts many kinds of object that we never send.  These readers accept only what the contract needs, and
reject anything else at its first byte:

* at the top: ``call``, ``answer``, ``error``;
* inside: arguments, references to the peer's objects, None, exceptions, and the list of class names in an exception.
  Rejected are gifts (which would make us connect to a third party), bound methods, dictionaries, text and back
  references; so nothing nests deeper than the contract says.

Every call has a schema; a call of a method that the object does not have fails with a `NotOfferedError`.

A violation of the protocol (`BananaError`) ends the connection; a violation of a schema (`Violation`) fails the call.
"""

from foolscap import tokens
from foolscap.broker import PBRootUnslicer
from foolscap.call import (
    AnswerUnslicer,
    ArgumentUnslicer,
    CallUnslicer,
    CopiedFailure,
    ErrorUnslicer,
    FailureConstraint,
)
from foolscap.copyable import AttributeDictConstraint, NonCyclicRemoteCopyUnslicer
from foolscap.referenceable import ReferenceUnslicer
from foolscap.schema import ByteStringConstraint, ListOf
from foolscap.slicers.list import ListUnslicer
from foolscap.slicers.none import NoneUnslicer
from foolscap.tokens import BananaError, Violation

from ..contract import (
    LONGEST_IDENTIFIER,
    LONGEST_NAME,
    MOST_ARGUMENTS,
    MOST_REFERENCES,
)
from ..failures import NotOfferedError

_LARGEST_INTEGER = 1 << 62
_FAILURE = "twisted.python.failure.Failure"
# Bytes of the FURL that Foolscap sends with a reference; we neither send nor use it.
_LONGEST_ADDRESS = 4000


class BoundedArguments(ArgumentUnslicer):
    """
    Arguments, with bounded number and names.
    """

    def checkToken(self, typebyte, size):
        if self.numargs is None:
            if size > MOST_ARGUMENTS:
                raise BananaError("too many arguments")
        elif len(self.args) >= self.numargs and self.argname is None:
            if typebyte == tokens.STRING and size > LONGEST_IDENTIFIER:
                raise BananaError("the name of an argument is too long")
            if len(self.kwargs) >= MOST_ARGUMENTS:
                raise BananaError("too many arguments")
        super().checkToken(typebyte, size)


class BoundedCall(CallUnslicer):
    """
    A call of one of our objects, of a method of the object's interface.
    """

    stage: int

    def checkToken(self, typebyte, size):
        if self.stage < 2 and (typebyte != tokens.INT or size > _LARGEST_INTEGER):
            raise BananaError("a call begins with two numbers")
        if self.stage == 2 and typebyte == tokens.STRING and size > LONGEST_IDENTIFIER:
            raise BananaError("the name of a method is too long")
        super().checkToken(typebyte, size)

    def receiveChild(self, token, ready_deferred=None):
        if self.stage == 0:
            self.broker.call_begins(token)
        if self.stage == 2 and (self.interface is None or self.interface.get(token.decode("utf-8")) is None):
            self.stage = 3
            raise NotOfferedError("no such method")
        super().receiveChild(token, ready_deferred)


class BoundedReference(ReferenceUnslicer):
    """
    A reference to an object of the peer: a number, and the name of its interface.
    """

    def checkToken(self, typebyte, size):
        if self.state == 0 and (typebyte != tokens.INT or not 0 < size < _LARGEST_INTEGER):
            raise BananaError("the id of a reference is not a positive integer")
        if self.state == 1 and typebyte == tokens.STRING and size > LONGEST_NAME:
            raise BananaError("the name of an interface is too long")
        if self.state == 2 and typebyte == tokens.STRING and size > _LONGEST_ADDRESS:
            raise BananaError("the address of a reference is too long")
        super().checkToken(typebyte, size)

    def receiveClose(self):
        self.url = None
        # A reference that we released counts until the peer has acknowledged the release.
        if len(self.broker.yourReferenceByCLID) >= MOST_REFERENCES:
            raise BananaError("too many references")
        return super().receiveClose()


_FAILURE_SCHEMA = AttributeDictConstraint(
    ("type", ByteStringConstraint(200)),
    ("value", ByteStringConstraint(1000)),
    ("traceback", ByteStringConstraint(2000)),
    ("parents", ListOf(ByteStringConstraint(200), maxLength=30)),
)


def _copied(state):
    failure = CopiedFailure()
    failure.setCopyableState({"type": b"", "value": b"", "traceback": b"", "parents": [], **state})
    return failure


class BoundedFailure(NonCyclicRemoteCopyUnslicer):
    """
    An exception of the peer, with bounded attributes and attribute names.
    """

    classname = _FAILURE

    def __init__(self) -> None:
        super().__init__(_copied, _FAILURE_SCHEMA)

    def setConstraint(self, constraint):
        if not isinstance(constraint, FailureConstraint):
            raise Violation("an exception is not allowed here")

    def checkToken(self, typebyte, size):
        if self.attrname is None and typebyte == tokens.STRING and size > LONGEST_IDENTIFIER:
            raise BananaError("the name of an attribute is too long")
        super().checkToken(typebyte, size)


class BoundedRoot(PBRootUnslicer):
    """
    The objects that a message may be, and those that may be inside it.
    """

    topRegistries = [{("call",): BoundedCall, ("answer",): AnswerUnslicer, ("error",): ErrorUnslicer}]
    openRegistries = [
        {
            ("arguments",): BoundedArguments,
            ("my-reference",): BoundedReference,
            ("none",): NoneUnslicer,
            ("list",): ListUnslicer,
            ("copyable", _FAILURE): BoundedFailure,
        }
    ]

    def open(self, opentype):
        kind = tuple(opentype)
        if kind == ("copyable",):
            return None  # the class's name follows
        reader = self.openRegistries[0].get(kind)
        if reader is None:
            raise Violation(f"objects of the type {kind[0]!r} are not in the contract")
        child = reader()
        child.broker = self.broker
        return child
