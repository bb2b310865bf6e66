"""
Answers to the questions of the web process, which shows the farm: what master.cfg says about the pages, and who asks.

The answers have no field around them: the whole answer is the document.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from attrs import frozen

from ..errors import RefusedError
from ..master.farm import Farm
from ..model.json_reader import JsonReader

Answer = Mapping[str, Any]


@frozen
class WebAnswers:
    """
    Answers about *farm* for the holder of the grant *by_grant*, who may ask the questions *may* (None: all).
    """

    farm: Farm
    may: Collection[str] | None
    by_grant: int | None

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, each with the method that answers it.
        """
        return {"www": self._www, "me": self._me}

    async def _www(self, question: JsonReader) -> Answer:
        config = self.farm.config
        return {
            "title": config.title,
            "url": config.buildbot_url,
            "port": config.www.port,
            "private": config.www.private,
            "proxies": list(config.www.trusted_proxies),
        }

    async def _me(self, question: JsonReader) -> Answer:
        """
        The grant with which the client asks: so a program that passes questions on learns when the grant ends.
        """
        if self.by_grant is None:
            raise RefusedError("This connection has no string.")
        grant = self.farm.grants.in_force(self.by_grant)
        return {
            "grant": grant.id,
            "verb": grant.verb,
            "label": grant.label,
            "expires": grant.expires,
            "may": None if self.may is None else sorted(self.may),
        }
