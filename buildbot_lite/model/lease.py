"""
The lease of a command: how long it may run while its slave and its master do not hear each other.

::

    link lost                keeper: kill                         master: lost, try elsewhere
       |---- grace - 30 s ------->|                                         |
       |--------------- grace --------------->|                             |
       |--------------- grace + 30 s -------------------------------------->|

The margin on both sides covers a slow kill and clocks that differ, so that no two instances of a command run at once.
"""

LEASE_MARGIN = 30.0
"""Seconds between the grace and each side's deadline."""
SHORTEST_GRACE = 40.0
"""Seconds; with less, a keeper could not tell a lost link from a slow one."""


def keeper_deadline(grace: float) -> float:
    """
    Seconds of silence after which the keeper kills a command.

    The margin is at most a quarter of the grace: an idle master is heard every 20 s only.
    """
    return grace - min(LEASE_MARGIN, grace / 4)


def master_deadline(grace: float) -> float:
    """
    Seconds after which the master counts the command as lost.
    """
    return grace + LEASE_MARGIN
