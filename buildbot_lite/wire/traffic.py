"""
The bytes that a Tub's connections have carried.
"""

from attrs import define


@define
class Traffic:
    """
    Bytes inside TLS since the process started, of established connections.
    """

    received: int = 0
    sent: int = 0
