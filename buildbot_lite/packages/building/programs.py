"""
The programs that run on slaves: shell scripts of several parts, which are sent as an argument of sh.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files


def words_of(program: str, verb: str, *words: str) -> Sequence[str]:
    """
    The words that run the *verb* of *program*: "overlay", "sbuild" or "mock".
    """
    return ["/bin/sh", "-c", _text(program), program, verb, *words]


@cache
def _text(program: str) -> str:
    parts = ("root_head.sh", "kept.sh", f"{program}.sh")
    return "".join(files(__package__).joinpath(part).read_text("utf-8") for part in parts)
