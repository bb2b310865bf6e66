"""
Questions of an admin about slaves: pause, drain, unpin, lost.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from ..errors import NotFoundError
from ..master.farm import Farm
from ..model.display import by_number
from ..model.json_reader import JsonReader
from ..model.lease import master_deadline
from ..model.suggestions import there_is_no

Answer = Mapping[str, Any]


@frozen
class SlaveAdmin:
    """
    Answers about the slaves of *farm*.
    """

    farm: Farm

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, each with the method that answers it.
        """
        return {"pause": self._pause, "drain": self._drain, "unpin": self._unpin, "lost": self._lost}

    async def _pause(self, question: JsonReader) -> Answer:
        name, paused = self._slave(question), question.flag("paused")
        await self.farm.slaves.pause(name, paused=paused)
        member = self.farm.slaves[name]
        obstacle = member.obstacle()
        return {
            "slave": name,
            "paused": paused,
            "connected": member.session.hello is not None,
            "obstacle": None if obstacle is None else obstacle.sentence,
        }

    async def _drain(self, question: JsonReader) -> Answer:
        name = self._slave(question)
        running = sorted((each.label for each in self.farm.slots.on(name)), key=by_number)
        self.farm.slaves.drain(name)
        return {"slave": name, "running": running}

    async def _unpin(self, question: JsonReader) -> Answer:
        name = self._slave(question)
        await self.farm.grants.pins.unpin(name)
        self.farm.slaves.string_changed(name)
        return {"slave": name}

    async def _lost(self, question: JsonReader) -> Answer:
        name = question.text("slave", limit=200)
        member = self.farm.slaves.serving(name)
        if member is None:
            name = self._slave(question)
            member = self.farm.slaves[name]
        running = sorted((each.label for each in self.farm.slots.on(name)), key=by_number)
        connected = member.session.hello is not None
        self.farm.slaves.give_up(name, f"an admin says that {name} is lost")
        grace = master_deadline(member.config.grace)
        return {"slave": name, "connected": connected, "lost": running, "grace": grace}

    def _slave(self, question: JsonReader) -> str:
        """
        The name of a slave that the farm knows, from the field ``slave``.
        """
        name = question.text("slave", limit=200)
        if self.farm.slaves.get(name) is None:
            raise NotFoundError(there_is_no("slave", name, self.farm.config.slaves, see="buildbot-lite slaves"))
        return name
