"""
Source stamps: which code a buildset builds, one stamp for each codebase.

The records keep them as one JSON object, the *source* of a buildset.  If there is only the codebase "", it is that
stamp.  Otherwise it has the stamps under "codebases"; a single one is also in the object itself.  Three more keys
concern the whole buildset: "untrusted" (the code comes from a fork), "slaves" (the only slaves that may build it) and
"patch" (the note about its patch, with the "codebase" to which the patch belongs).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from .properties import Json

Stamp: TypeAlias = Mapping[str, Json]
"""
The branch, revision, repository and project of one codebase; unknown ones are missing or None.  "patch": a note about
the patch of the request, if it belongs to this codebase.
"""

FIELDS = ("branch", "revision", "repository", "project")
UNTRUSTED = "untrusted"
SLAVES = "slaves"
_CODEBASES = "codebases"
_PATCH = "patch"
_MARKS = (UNTRUSTED, SLAVES, _PATCH)


@frozen
class PatchPlace:
    """
    How the patch of a request is applied to a checkout.  *level*: how many parts of the paths in it are left out; None:
    as the version control system writes its patches.  *subdir*: the directory of the checkout to which it applies.
    """

    level: int | None = None
    subdir: str = "."


def with_patch(stamp: Stamp, place: PatchPlace, author: str = "", comment: str = "") -> Stamp:
    """
    *stamp* with the note that the patch of the request, by *author*, belongs to its codebase.
    """
    return {**stamp, _PATCH: {"level": place.level, "subdir": place.subdir, "author": author, "comment": comment}}


def patch_place(stamps: Mapping[str, Stamp], codebase: str) -> PatchPlace | None:
    """
    How the patch of a request with these *stamps* is applied to *codebase*; None if it belongs to another one.
    """
    noted = {name: stamp[_PATCH] for name, stamp in stamps.items() if isinstance(stamp.get(_PATCH), dict)}
    if not noted:
        return PatchPlace()
    note: Any = noted.get(codebase)
    return None if note is None else PatchPlace(note["level"], note["subdir"])


def has_patch(stamps: Mapping[str, Stamp], source: Mapping[str, Json]) -> bool:
    """
    Whether the patch of the buildset of *source* belongs to one of *stamps*, or to any codebase.
    """
    note = source.get(_PATCH)
    return not isinstance(note, Mapping) or note.get("codebase", "") in stamps


def stamps_of(source: Mapping[str, Json]) -> dict[str, Stamp]:
    """
    Codebase → stamp, for the stamps in *source*.
    """
    codebases = source.get(_CODEBASES)
    if not isinstance(codebases, Mapping):
        codebases = {"": {name: value for name, value in source.items() if name not in _MARKS}}
    stamps: dict[str, Stamp] = {name: dict(stamp) for name, stamp in codebases.items()}
    note = source.get(_PATCH)
    if isinstance(note, Mapping) and (codebase := str(note.get("codebase", ""))) in stamps:
        own = {name: value for name, value in note.items() if name != "codebase"}
        stamps[codebase] = {**stamps[codebase], _PATCH: own}
    return stamps


def source_of(
    stamps: Mapping[str, Stamp], *, untrusted: bool = False, slaves: Sequence[str] | None = None
) -> dict[str, Json]:
    """
    The source with these *stamps*.  *untrusted*: whether the code comes from a fork.  *slaves*: the only slaves that
    may build it; None: all slaves of the builder.
    """
    plain = {
        codebase: {name: value for name, value in stamp.items() if name != _PATCH} for codebase, stamp in stamps.items()
    }
    source: dict[str, Json] = {}
    if len(plain) == 1:
        source.update(*plain.values())
    if set(plain) != {""}:
        source[_CODEBASES] = plain
    for codebase, stamp in stamps.items():
        if isinstance(note := stamp.get(_PATCH), Mapping):
            source[_PATCH] = {"codebase": codebase, **note}
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
    The fields of *source* that concern the whole buildset: "untrusted", "slaves" and "patch", if they are there.
    """
    return {name: source[name] for name in _MARKS if name in source}


def slaves_of(source: Mapping[str, Json]) -> list[str] | None:
    """
    The only slaves that may build *source*; None: all slaves of the builder.
    """
    names = source.get(SLAVES)
    return [str(name) for name in names] if isinstance(names, list) else None
