"""
Slots: which builds run on which slave.

A build takes a slot when the queue chooses a slave for it, and leaves it when its end is recorded.
"""

import itertools

from attrs import define, field, frozen


@frozen
class Slot:
    """
    The place of one build on *slave*.  *label*: "builder/number", or the builder's name until the build has a number.
    *directory*: the builder's directory in the slave's ``work`` when the build began; None: unknown.  *number*: of a
    build with a directory of its own (`BuilderConfig.slotted`), counted from 1; None: of any other build.
    """

    label: str
    builder: str
    slave: str
    directory: str | None = None
    number: int | None = None

    @property
    def place(self) -> str | None:
        """
        The directory in the slave's ``work`` in which only this build works, or that of its builder if builds share it;
        None: unknown.
        """
        if self.directory is None or self.number is None:
            return self.directory
        return f"{self.directory}/{directory_of(self.number, FIRST)}"


FIRST = "build"
"""The directory of a build in slot 1, of builders whose builds have directories of their own."""


def directory_of(number: int | None, first: str) -> str:
    """
    The directory of a build in slot *number*, relative to the builder's: *first*, or "build-2" and so on.
    """
    return first if number is None or number == 1 else f"build-{number}"


@define
class Slots:
    """
    The occupied slots, by request and by slave.
    """

    _by_request: dict[int, Slot] = field(factory=dict)
    _by_slave: dict[str, dict[int, Slot]] = field(factory=dict)

    def take(self, request: int, slot: Slot) -> None:
        """
        Give *slot* to the build of *request*, or replace the slot that it has.
        """
        self._by_request[request] = slot
        self._by_slave.setdefault(slot.slave, {})[request] = slot

    def leave(self, request: int) -> None:
        """
        Free the slot of *request*, if it has one.
        """
        slot = self._by_request.pop(request, None)
        if slot is not None:
            del self._by_slave[slot.slave][request]

    def on(self, slave: str) -> list[Slot]:
        """
        The occupied slots of *slave*, oldest first.
        """
        return list(self._by_slave.get(slave, {}).values())

    def places_on(self, slave: str) -> tuple[str, ...] | None:
        """
        The places of the builds on *slave*; None if one of them is unknown.
        """
        places = [slot.place for slot in self.on(slave)]
        known = {place for place in places if place is not None}
        return None if None in places else tuple(sorted(known))

    def count_on(self, slave: str) -> int:
        """
        The number of occupied slots of *slave*.
        """
        return len(self._by_slave.get(slave, ()))

    def of_slave(self, slave: str) -> list[tuple[int, Slot]]:
        """
        The occupied slots of *slave*, each with its request, oldest first.
        """
        return list(self._by_slave.get(slave, {}).items())

    def by_builder(self) -> dict[str, list[Slot]]:
        """
        Builder → its occupied slots, oldest first.
        """
        slots: dict[str, list[Slot]] = {}
        for slot in self._by_request.values():
            slots.setdefault(slot.builder, []).append(slot)
        return slots

    def get(self, request: int) -> Slot | None:
        """
        The slot of the build of *request*, if it has one.
        """
        return self._by_request.get(request)

    def free_number(self, slave: str, builder: str) -> int:
        """
        The smallest number from 1 that no running build of *builder* has on *slave*.
        """
        # A build without a number, of an earlier version or configuration, is where the first one is.
        used = {each.number or 1 for each in self.on(slave) if each.builder == builder}
        return next(number for number in itertools.count(1) if number not in used)

    def label(self, request: int) -> str:
        """
        The label of the build of *request*; if it has no slot, the number of the request.
        """
        slot = self._by_request.get(request)
        return f"request {request}" if slot is None else slot.label

    def __len__(self) -> int:
        return len(self._by_request)
