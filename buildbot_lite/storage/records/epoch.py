"""
The epoch of the farm: 0, or a number that each restore from a backup makes higher.
"""

from sqlalchemy import Connection

from . import settings

_NAME = "epoch"


def get(connection: Connection) -> int:
    """
    The epoch.
    """
    return int(settings.get(connection, _NAME) or 0)


def raise_epoch(connection: Connection, now: float) -> int:
    """
    Make the epoch higher, because the farm was restored *now* (seconds since 1970), and return it.

    The time is in it, so that of two farms restored from one backup the later one has the higher epoch.
    """
    epoch = max(get(connection) + 1, int(now))
    settings.put(connection, _NAME, str(epoch))
    return epoch
