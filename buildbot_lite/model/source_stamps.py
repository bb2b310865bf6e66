"""
Source stamps: which code a buildset builds, one stamp for each codebase.

The records keep them as one JSON object, the *source* of a buildset.  With the only codebase "" it is that stamp
itself; with others it has the stamps under "codebases", and with a single one also that stamp's values.  Two more keys
are about the buildset as a whole: "untrusted" (the code comes from a fork) and "slaves" (the only ones that may build
it).
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from .properties import Json

Stamp: TypeAlias = Mapping[str, Json]
"""Of one codebase: branch, revision, repository, project; absent or None where they are not known."""

FIELDS = ("branch", "revision", "repository", "project")
UNTRUSTED = "untrusted"
SLAVES = "slaves"
_CODEBASES = "codebases"


def stamps_of(source: Mapping[str, Json]) -> dict[str, Stamp]:
    """
    The stamps in *source*, by codebase.
    """
    codebases = source.get(_CODEBASES)
    if isinstance(codebases, Mapping):
        return {name: dict(stamp) for name, stamp in codebases.items()}
    return {"": {name: value for name, value in source.items() if name not in (UNTRUSTED, SLAVES)}}


def source_of(
    stamps: Mapping[str, Stamp], *, untrusted: bool = False, slaves: Sequence[str] | None = None
) -> dict[str, Json]:
    """
    The source with these *stamps*.  *slaves*: the only ones that may build it; None: all that the builder has.
    """
    source: dict[str, Json] = {}
    if len(stamps) == 1:
        source.update(next(iter(stamps.values())))
    if set(stamps) != {""}:
        source[_CODEBASES] = {name: dict(stamp) for name, stamp in stamps.items()}
    if untrusted:
        source[UNTRUSTED] = True
    if slaves is not None:
        source[SLAVES] = list(slaves)
    return source


def is_untrusted(source: Mapping[str, Json]) -> bool:
    """
    Whether the code comes from a fork, so that anybody may have written it.
    """
    return bool(source.get(UNTRUSTED))


def marks_of(source: Mapping[str, Json]) -> dict[str, Json]:
    """
    What *source* says apart from its stamps.
    """
    return {name: source[name] for name in (UNTRUSTED, SLAVES) if name in source}


def slaves_of(source: Mapping[str, Json]) -> list[str] | None:
    """
    The only slaves that may build it; None: all that the builder has.
    """
    names = source.get(SLAVES)
    return [str(name) for name in names] if isinstance(names, list) else None
