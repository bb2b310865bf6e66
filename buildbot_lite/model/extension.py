"""
Extension: a service of a higher package in a running master.
"""

from typing import Protocol


class Extension(Protocol):
    """
    A service of a higher package, made by `Environment.extensions`.  It gets the farm in its constructor.
    """

    @property
    def name(self) -> str:
        """
        Unique among the extensions.
        """

    async def start(self) -> None:
        """
        Begin.  The records are loaded and the unfinished builds continue; no build has been started.  An error keeps
        the master from starting.
        """

    def stop(self) -> None:
        """
        End, because the master stops; unfinished work continues after the next start.
        """
