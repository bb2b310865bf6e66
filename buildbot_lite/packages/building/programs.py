"""
The programs that run on slaves: shell scripts of several parts, which are sent as an argument of sh.
"""

import shlex
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from ...keeper.parent_death import BY_DESCRIPTOR, BY_NUMBER


def words_of(program: str, verb: str, *words: str) -> Sequence[str]:
    """
    The words that run the *verb* of *program*: "overlay", "sbuild" or "mock".
    """
    return ["/bin/sh", "-c", _text(program), program, verb, *words]


@cache
def _text(program: str) -> str:
    parts = ("root_head.sh", "kept.sh", f"{program}.sh")
    tied = f"by_number={shlex.quote(BY_NUMBER)} by_descriptor={shlex.quote(BY_DESCRIPTOR)}\n"
    return tied + "".join(files(__package__).joinpath(part).read_text("utf-8") for part in parts)
