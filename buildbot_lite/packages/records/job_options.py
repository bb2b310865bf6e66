"""
What a submitter may choose for a job.
"""

from collections.abc import Mapping

from attrs import frozen

from ...errors import InputError
from ...model.json_reader import JsonReader
from ...model.properties import Json

LEAST_PRIORITY = -1_000_000

MOST_MEMBERS = 100
"""Jobs of one chain."""
AFTER, SOURCES = "after", "sources"
"""The options of a chain.  The submitter gives `AFTER`; the master fills in `SOURCES`."""
MOST_PRIORITY = "most_priority"
"""The highest priority that the string permits.  The master fills it in."""


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
    def read(cls, document: Mapping[str, Json], usual: int) -> "JobOptions":
        """
        The options in *document*, with the *usual* priority, that of the target, where it has none; `InputError` for
        one that is too high.
        """
        reader = JsonReader(dict(document), "the options")
        most = reader.integer(MOST_PRIORITY, usual, least=LEAST_PRIORITY)
        priority = reader.integer("priority", min(usual, most), least=LEAST_PRIORITY)
        if priority > most:
            raise InputError(f"The priority {priority} is too high: this string permits {most} at most.")
        after = reader.integer(AFTER, least=1) if reader.has(AFTER) else None
        sources = () if after is None else tuple(reader.texts(SOURCES))
        return cls(reader.flag("scratch", default=False), priority, after, sources)
