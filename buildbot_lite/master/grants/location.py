"""
The location of a running master: its bound ports, its hosts, and the FURLs that name both.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from attrs import frozen
from twisted.internet.defer import ensureDeferred, gatherResults

from ...wire.furl import build
from ...wire.ports import PortChange, Ports
from ..config.master_config import MasterConfig
from .listening import (
    addresses,
    connection_hints,
    endpoints,
    keep_listening,
    listening,
    port_numbers,
)


class Location:
    """
    The present location of this master: the bound *ports*, and the hosts of *config* or of the directory *private*.
    """

    def __init__(
        self,
        *,
        tub_id: str,
        ports: Ports,
        private: str,
        config: MasterConfig,
        wall: Callable[[], float],
        why_not_reached: Callable[[str], Coroutine[Any, Any, str]],
    ) -> None:
        """
        *why_not_reached*: returns why a hint does not lead here, or "".
        """
        self._why_not_reached = why_not_reached
        self._tub_id = tub_id
        self._ports = ports
        self._private = private
        self._config = config
        self._wall = wall

    def bind(self, config: MasterConfig) -> "PreparedMove":
        """
        Bind the ports of *config* that are not bound yet; `PortError` when one cannot be, and nothing has changed.
        """
        return PreparedMove(self, config, self._ports.bind(endpoints(config, self._private)))

    def follow(self, config: MasterConfig) -> None:
        """
        Use the hosts of *config* from now on; its ports are bound.
        """
        self._config = config

    def moved(self) -> "ClosedPorts":
        """
        Return the ports that were closed since the last call, by this process or an earlier one, and record the present
        ones.
        """
        before, now = listening(self._private), self._wall()
        bound = {str(each): before.get(str(each), now) for each in self._ports.endpoints}
        if bound != before:
            keep_listening(self._private, bound)
        closed = port_numbers(before) - port_numbers(bound)
        return ClosedPorts(tuple(sorted(closed)), min(bound.values(), default=now))

    def furl(self, swissnum: str) -> str:
        return build(self._tub_id, self.hints(), swissnum)

    async def unreachable(self, hints: Iterable[str]) -> list[str]:
        """
        The *hints* that do not lead to this master from its own machine, each with the reason.
        """
        tried = list(hints)
        reasons = await gatherResults([ensureDeferred(self._why_not_reached(hint)) for hint in tried])
        return [
            f"{hint.removeprefix('tcp:')} ({reason})" for hint, reason in zip(tried, reasons, strict=True) if reason
        ]

    def hints(self) -> tuple[str, ...]:
        """
        The connection hints for FURLs, such as ``tcp:farm.example:9989``.  Every port in them is bound, or part of
        c['location'].
        """
        return connection_hints(addresses(self._config, self._private), self._ports.endpoints)

    def nearby(self) -> tuple[str, ...]:
        """
        The hints for clients on the master's own machine.
        """
        return tuple(dict.fromkeys(f"tcp:{each.local_host}:{each.port}" for each in self._ports.endpoints))


@frozen(eq=False)
class PreparedMove:
    """
    A prepared change of ports and hosts: the result of `Location.bind`.
    """

    _location: Location
    _config: MasterConfig
    _change: PortChange

    def commit(self) -> None:
        """
        Adopt the ports and hosts of the new configuration.
        """
        self._change.commit()
        self._location.follow(self._config)

    def cancel(self) -> None:
        """
        Keep the present ports and hosts.
        """
        self._change.cancel()


@frozen
class ClosedPorts:
    """
    The closed *ports*, and since when (seconds since 1970) the master has listened at its present ones.
    """

    ports: tuple[int, ...] = ()
    since: float = 0.0
