"""
Generations: the configuration in force, and the earlier ones that unfinished builds still need.

The records name a generation by its hash; its text is a file in ``private/generations``.  A text is on the disk before
the records name it, and is removed when neither the configuration in force nor an unfinished build needs it.
"""

import os
from collections.abc import Callable, Iterable, Mapping

from twisted.logger import Logger

from ...errors import BuildbotLiteError
from ...storage.generation_texts import GenerationTexts
from ...storage.records import generations as records_of_generations
from ...storage.writer import Records
from .loading import Generation, load
from .master_config import MasterConfig


class Generations:
    """
    All generations of the master in *basedir*.  *current*: the one in force.  *wall*: seconds since 1970.
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
        The configuration in force.
        """
        return self.current.config

    def load(self, seconds: float) -> Generation:
        """
        The generation that master.cfg makes now; `ConfigError` when it is wrong or takes longer than *seconds*.
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
        # A write, because builds that began before it with an earlier configuration are recorded before it.
        needed = await self._records.write(records_of_generations.needed)
        self._texts.remove_all_but({self.current.hash, *needed})

    def with_hashes(self, hashes: Iterable[str]) -> Mapping[str, Generation]:
        """
        The generations with these *hashes*, by hash.  One that cannot be loaded is missing, and the log says why.
        """
        generations = {self.current.hash: self.current}
        for hash_ in set(hashes) - set(generations):
            try:
                files = self._texts.get(hash_)
                if files is not None:
                    generations[hash_] = load(self._basedir, files=files, keys=self.current.keys)
            except BuildbotLiteError as error:
                self._log.warn("an earlier configuration cannot be loaded: {why}", why=str(error))
        return generations
