"""
Ends requests, whether they wait or run, and tells which requests depend on them.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from ...errors import NotFoundError
from ...storage.roles import Records
from ..builds.triggered import Child, read_children
from .queue import Queue
from .requests import Requests
from .running_builds import RunningBuilds


class RequestCanceller:
    """
    Cancels requests.  *streams*: the directory of the logs.
    """

    def __init__(
        self, *, records: Records, requests: Requests, queue: Queue, running: RunningBuilds, streams: str
    ) -> None:
        self._records = records
        self._requests = requests
        self._queue = queue
        self._running = running
        self._streams = streams

    async def cancel(self, request: int, reason: str) -> None:
        """
        End *request*, whether it waits or is being built; `NotFoundError` when it does neither.
        """
        while not (await self._requests.cancel(request, reason) or await self._running.stop(request, reason)):
            # A request whose build could not be recorded is in the queue again.
            if request not in self._queue:
                break
        else:
            return
        raise NotFoundError(f"There is no request {request} that waits or runs.  See: buildbot-lite queue")

    async def cancel_unfinished(self, requests: Iterable[int], reason: str) -> None:
        """
        End those of *requests* that have not ended.
        """
        for request in requests:
            # A request that has ended does not keep the others from being cancelled.
            with suppress(NotFoundError):
                await self.cancel(request, reason)

    def unfinished_with(self, grant: int) -> list[int]:
        """
        The unfinished requests that were submitted with the FURL of *grant*.
        """
        waiting = [each.request.id for each in self._queue.waiting() if each.buildset.by_grant == grant]
        return sorted({*waiting, *self._running.requested_with(grant)})

    async def waited_for_by(self, request: int) -> Sequence[Child]:
        """
        The unfinished requests that the build of *request* triggered, and those that their builds triggered: `cancel`
        of *request* ends them too.
        """
        live = self._running.live().get(request)
        children: list[Child] = []
        for buildset in () if live is None else live.build.waits_for:
            read = partial(read_children, buildset=buildset, directory=self._streams)
            children += [child for child in await self._records.read(read) if child.result is None]
        below = [each for child in children for each in await self.waited_for_by(child.request)]
        return [*children, *below]
