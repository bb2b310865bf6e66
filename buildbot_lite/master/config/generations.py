"""
Generations: the current configuration, and the earlier ones that unfinished builds still need.

The records name a generation by its hash; its text is a file in ``private/generations``.  A text is written before the
records name it, and removed when neither the current configuration nor an unfinished build needs it.
"""

import os
from collections.abc import Callable, Iterable, Mapping

from twisted.logger import Logger

from ...errors import BuildbotLiteError
from ...model.time_limit import OverdueError, call_within
from ...storage.generation_texts import GenerationTexts
from ...storage.records import generations as records_of_generations
from ...storage.roles import Records
from .loading import Generation, load
from .master_config import MasterConfig

LONGEST_EARLIER_LOAD = 600.0
"""
Seconds that loading the text of an earlier generation may take when the master starts.  Within a limit, it is not
interrupted by the watch on the reactor, which comes much earlier.
"""


class Generations:
    """
    All generations of the master in *basedir*.  *current*: the current one.  *wall*: returns the time in seconds since
    1970.
    """

    _log = Logger()

    def __init__(self, basedir: str, *, current: Generation, records: Records, wall: Callable[[], float]) -> None:
        self.current = current
        self._basedir = basedir
        self._records = records
        self._wall = wall
        self._texts = GenerationTexts(os.path.join(basedir, "private"))

    @property
    def config(self) -> MasterConfig:
        """
        The current configuration.
        """
        return self.current.config

    def load(self, seconds: float) -> Generation:
        """
        Load master.cfg as it is now; `ConfigError` if it is wrong, or if that takes longer than *seconds*.
        """
        return load(self._basedir, seconds=seconds, keys=self.current.keys)

    async def keep(self, generation: Generation) -> None:
        """
        Write the text of *generation* to the disk, then its hash to the records.
        """
        self._texts.keep(generation.hash, generation.files)
        hash_, now = generation.hash, self._wall()
        await self._records.write(lambda connection: records_of_generations.keep(connection, hash_, now))

    async def prune(self) -> None:
        """
        Remove the texts that nothing needs any more.
        """
        # Not a read: the queue of writes may still hold builds that began with an earlier configuration.
        needed = await self._records.write(records_of_generations.needed)
        self._texts.remove_all_but({self.current.hash, *needed})

    def with_hashes(self, hashes: Iterable[str]) -> Mapping[str, Generation]:
        """
        Hash → generation, for these *hashes*.  Generations that cannot be loaded are left out, and the log says why.
        """
        generations = {self.current.hash: self.current}
        for hash_ in set(hashes) - set(generations):
            try:
                files = self._texts.get(hash_)
                if files is not None:
                    generations[hash_] = call_within(
                        LONGEST_EARLIER_LOAD, load, self._basedir, files=files, keys=self.current.keys
                    )
            except OverdueError:
                self._log.warn(
                    "an earlier configuration cannot be loaded: that took longer than {wait:.0f} s",
                    wait=LONGEST_EARLIER_LOAD,
                )
            except BuildbotLiteError as error:
                self._log.warn("an earlier configuration cannot be loaded: {why}", why=str(error))
        return generations
