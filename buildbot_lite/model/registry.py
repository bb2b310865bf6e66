"""
Extension points: entries that higher packages add, by name.

A lower package defines the class of the entries (a key of ``c``, a verb of a grant, a command) and looks them up; it
imports none of the packages that add entries.  A tap creates the registry, fills it and passes it on::

    keys = Registry("key of c", OWN_KEYS.values())     # the lower package's own entries
    keys.add(web.WWW)                                  # added by a higher package
    generation = load(basedir, keys=keys)

There is no registry at module level: two farms in one process, or two tests, share no entries.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class Registrable(Protocol):
    """
    Anything with a *name*.
    """

    @property
    def name(self) -> str:
        """
        The key under which the registry holds the entry.
        """


E = TypeVar("E", bound=Registrable)


class Registry(Mapping[str, E]):
    """
    Entries by name, in the order in which they were added.

    *kind*: the noun for one entry in errors, like "key of c".
    """

    def __init__(self, kind: str, entries: Iterable[E] = ()) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: E) -> E:
        """
        Add *entry* and return it.  `ValueError` if the name is taken: one package must not replace another's entry.
        """
        if entry.name in self._entries:
            raise ValueError(f"There are two entries for the {self.kind} {entry.name!r}.")
        self._entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {list(self._entries.values())!r})"
