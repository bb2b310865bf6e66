"""
What a submitter may choose for a job.
"""

from collections.abc import Mapping

from attrs import frozen

from ..errors import InputError
from ..model.json_reader import JsonReader
from ..model.properties import Json

LEAST_PRIORITY = -1_000_000

MOST_MEMBERS = 100
"""Jobs of one chain."""
AFTER, SOURCES = "after", "sources"
"""The options of a chain: its submitter gives the first, the master completes the second."""


@frozen
class JobOptions:
    """
    *scratch*: its packages enter no repository.  *priority*: of its builds.  *after*: the number of the job before it
    in its chain; *sources*: the names of all source packages before it.
    """

    scratch: bool
    priority: int
    after: int | None = None
    sources: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Json], most_priority: int) -> "JobOptions":
        """
        The options in *document*; `InputError` for a priority above *most_priority*, that of the target.
        """
        reader = JsonReader(dict(document), "options")
        priority = reader.integer("priority", most_priority, least=LEAST_PRIORITY)
        if priority > most_priority:
            raise InputError(f"The priority {priority} is too high: this string permits {most_priority} at most.")
        after = reader.integer(AFTER, least=1) if reader.has(AFTER) else None
        sources = () if after is None else tuple(reader.texts(SOURCES))
        return cls(reader.flag("scratch", default=False), priority, after, sources)
