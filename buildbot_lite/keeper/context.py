"""
What all commands of a keeper share.
"""

from typing import NamedTuple

from .command_store import Shelf
from .loop import Loop
from .process_tracker import Family, Kinship
from .tail import Notices


class Patience(NamedTuple):
    """
    How many seconds to wait: for room on the *disk*, trying every *retry*; for pipes to *drain* when everybody is dead;
    for processes to die of SIGKILL; in *haste*, between the polite signal and that.
    """

    disk: float = 600.0
    retry: float = 1.0
    drain: float = 5.0
    kill: float = 60.0
    haste: float = 15.0


class Surroundings(NamedTuple):
    """
    *families* are those that live, by their main process.
    """

    directory: str
    loop: Loop
    shelf: Shelf
    kinship: Kinship
    families: dict[int, Family]
    notices: Notices
    patience: Patience
    portable_spawn: bool
