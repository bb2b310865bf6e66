"""
How much of the web process one address may have at a time.
"""

from collections import Counter
from ipaddress import IPv6Address, ip_address

_SUBNET = 64
"""Bits of an IPv6 address that tell one customer from another (RFC 6177); the others are each customer's own."""


class AddressShares:
    """
    What is in use, by the address that uses it: at most *most* by one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """
        Take one more for *address*; False if it has all that it may have.  An address that is unknown ("") has one
        share with all unknown ones.
        """
        key = _key(address)
        if self._used[key] >= self._most:
            return False
        self._used[key] += 1
        return True

    def give_back(self, address: str) -> None:
        """
        One that *address* has taken is free again.
        """
        key = _key(address)
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]


def _key(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> (128 - _SUBNET))
    return str(parsed)
