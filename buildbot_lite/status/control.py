"""
What the ``buildbot-lite`` command can ask a running master: the role `wire.control.Control`.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail

from ..errors import NotFoundError
from ..master.farm import Farm
from ..wire.control import Follower
from .following import Following


@frozen
class AdminDesk:
    """
    What the admin's string leads to.
    """

    farm: Farm
    following: Following

    def ask(self, question: Mapping[str, Any]) -> Deferred[Mapping[str, Any]]:
        """
        See `Control.ask`.
        """
        return fail(NotFoundError("This master does not know that question."))

    def follow(self, question: Mapping[str, Any], follower: Follower) -> Deferred[Mapping[str, Any]]:
        """
        See `Control.follow`.
        """
        return fail(NotFoundError("This master does not know that question."))
