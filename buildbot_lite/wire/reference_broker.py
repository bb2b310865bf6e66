"""
A broker that counts references without trusting the peer's numbers.

Object 0 of a connection (Foolscap's ``RemoteBroker``) finds objects by name and takes references back.
"""

from typing import Any

from foolscap.ipb import DeadReferenceError
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import MessageError
from .contract import AnyReference, RIBoundedBroker, RICommand
from .token_broker import TokenBroker


class ReferenceBroker(TokenBroker):
    """
    One end of a connection, with the references that its two ends hold to each other's objects.
    """

    log = Logger()
    disconnected: bool

    def drop(self, reason: str) -> None:
        """
        Cut the connection; *reason* goes into our log.
        """
        raise NotImplementedError

    def getInterface(self):
        return RIBoundedBroker

    def getYourReferenceByName(self, name: str) -> Deferred[Any]:
        found: Deferred[Any] = self.remote_broker.callRemote(
            "getReferenceByName", name=name.encode("ascii"), _resultConstraint=AnyReference
        )
        return found

    def remote_decref(self, clid: int, count: int) -> None:
        if clid <= 0 or count <= 0:
            raise MessageError("The peer returned a reference to an unknown object.")
        tracker = self.myReferenceByCLID.get(clid)
        if tracker is not None:
            super().remote_decref(clid, min(count, tracker.refcount))

    def freeYourReference(self, tracker: Any, count: int) -> None:
        if self.disconnected:
            return
        if tracker.interfaceName == RICommand.__remote_name__:
            # The master sends each once (`proxies`), so it cannot refer to this one again while the message travels.
            self.remote_broker.callRemoteOnly("decref", _useSchema=False, clid=tracker.clid, count=count)
            self.freeYourReferenceTracker(None, tracker)
            return

        def refused(failure: Failure) -> None:
            if failure.check(DeadReferenceError, error.ConnectionLost, error.ConnectionDone) is None:
                self.drop("the peer did not release a reference")

        freeing = self.remote_broker.callRemote("decref", clid=tracker.clid, count=count).addErrback(refused)
        background(freeing.addCallback(self.freeYourReferenceTracker, tracker), self.log, "releasing a reference")
