"""
What a Tub's connections have carried.
"""

from attrs import define


@define
class Traffic:
    """
    Of established connections: bytes inside TLS since the process started, and how many *links* there are now.
    """

    received: int = 0
    sent: int = 0
    links: int = 0
