"""
The lease of a command: how long it may run while its slave and its master are not connected.

::

    link lost                keeper: kill                         master: lost, try elsewhere
       |---- grace - 30 s ------->|                                         |
       |--------------- grace --------------->|                             |
       |--------------- grace + 30 s -------------------------------------->|

The margin on both sides covers a slow kill and clocks that differ, so that two instances of a command never run at the
same time.
"""

LEASE_MARGIN = 30.0
"""Seconds between the grace and each side's deadline."""
SHORTEST_GRACE = 40.0
"""Seconds; with less, a keeper could not tell a lost link from a slow one."""


def keeper_deadline(grace: float) -> float:
    """
    Seconds without a message from the master after which the keeper kills a command.

    The margin is at most a quarter of the grace, because an idle master sends a message only every 20 s.
    """
    return grace - min(LEASE_MARGIN, grace / 4)


def master_deadline(grace: float) -> float:
    """
    Seconds after the loss of the link after which the master counts the command as lost.
    """
    return grace + LEASE_MARGIN
