"""
Security of HTTP: which names of this server are accepted, whose forwarded headers are believed, and the headers of
every answer.

::

    peer, headers ──► WebPolicy.visitor ──► address, host asked for, whether by TLS ──► WebPolicy.why_refused

A page of another site must not read a farm that only its browser reaches.  Such a page can make its own name lead to
our address (DNS rebinding), and the browser then takes us for that site; it sends that name as ``Host``.  So only
names that are known to be ours are accepted.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from attrs import field, frozen

from ...model.display import printable
from .fair_places import Occupant

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
MOST_HOPS = 20
"""Proxies of which one chain may consist."""
_LONGEST_SHOWN = 100
_LONGEST_ADDRESS = 100
"""Characters of an IP address with its zone, and more."""
_LONGEST_URL = 2000
"""Characters of a URL in a header: `urlsplit` remembers the last 128, with their parts."""
_MOST_REMEMBERED = 1000
_PORTS = {"http": 80, "https": 443}

PAGE_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "server": "buildbot-lite",
}
"""
Headers of every answer.  Nothing is loaded from other hosts, no script or style stands in a page, no page is shown
inside another site's, and other sites learn no address of a build.
"""

ARTIFACT_HEADERS: Mapping[str, str] = {
    **PAGE_HEADERS,
    "content-security-policy": "sandbox",
    "cross-origin-resource-policy": "cross-origin",
}
"""
Headers of an artifact, which may be HTML of a stranger.  In the sandbox it runs no script, sends no form, and is of no
origin: so its pictures and styles, which are artifacts beside it, are cross-origin for the browser, and must be allowed
as such.
"""


@frozen
class WebVisitor:
    """
    Who asks.  *address*: its IP address, "" if unknown.  *host*: the name by which it knows this server, without a
    port; "" if it named none.  *secure*: whether nobody between can read along: TLS, or the same machine.  *behind*:
    its address as a proxy of this machine tells it that is not named, or anybody: only who counts together may depend
    on it.  *asked*: the value of ``Host``, with its port.  *url*: of the farm's pages, "" if it is not configured.
    *tls*: whether a named proxy says that it came by TLS.
    """

    address: str
    host: str
    secure: bool
    behind: str = field(default="", eq=False)
    asked: str = field(default="", eq=False)
    url: str = field(default="", eq=False)
    tls: bool = field(default=False, eq=False)

    @property
    def occupant(self) -> Occupant:
        """
        For whom what it takes counts, as long as no string is known.
        """
        return Occupant.at(self.behind or self.address)

    @property
    def is_at_root(self) -> bool:
        """
        Whether it is known that the pages are all of the site that was asked for, and not below a path of it.
        """
        place = _place(self.url)
        return place is not None and place[1] == self.host and urlsplit(self.url).path in {"", "/"}

    def is_at(self, origin: str) -> bool:
        """
        Whether *origin* (RFC 6454, 6.1) is that of our own pages: the host and port that were asked for, or those of
        the pages' address.  What a proxy says in ``X-Forwarded-Host`` does not count: its clients may have said it.
        """
        scheme = origin.partition(":")[0]
        place = _place(origin)
        return place is not None and place in {_place(f"{scheme}://{self.asked}"), _place(self.url)}


@frozen
class WebPolicy:
    """
    *names*: of this server, beside those of the loopback interface.  *url*: of its pages, or "".  *proxies*: networks
    of web servers whose forwarded headers are believed; those of others are ignored, because every client can send
    them.
    """

    names: frozenset[str] = frozenset()
    proxies: Sequence[Network] = ()
    url: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any], interface: str) -> "WebPolicy":
        """
        The policy of what the master *told* about its pages, for a server that listens at *interface*.  What has
        another form is left out.
        """
        names = {host_name(interface), _host_of(told.get("url"))}
        given = told.get("proxies")
        networks = (_network(each) for each in (given if isinstance(given, list) else ()))
        url = told.get("url")
        return cls(
            frozenset(names - {""}),
            tuple(each for each in networks if each is not None),
            url if isinstance(url, str) else "",
        )

    def visitor(self, peer: str, headers: Mapping[str, str]) -> WebVisitor:
        """
        The visitor behind the connection from the address *peer*.  *headers*: by name in lower case.

        Of a list, the last value counts, which the nearest proxy has added; of addresses, the last that is no proxy's.
        The host is that of ``Host`` alone: a proxy that adds no ``X-Forwarded-Host`` passes on its client's, and with
        it a page of another site could choose its name.
        """
        address = _address(peer)
        host, tls = headers.get("host", ""), False
        forwarded = any(name in headers for name in FORWARDED)
        if address is not None and _is_in(address, self.proxies):
            address = _first_stranger(address, headers.get("x-forwarded-for", ""), self.proxies)
            tls = _last(headers.get("x-forwarded-proto", "")).lower() == "https"
            forwarded = False
        behind = _last(headers.get("x-forwarded-for", "")) if address is not None and address.is_loopback else ""
        # A Host has no user (RFC 9110, 7.2): what follows "@" must not be taken for the name.
        name = host.strip().lower() if "@" in host else host_name(host)
        # What an unnamed proxy passes on comes from elsewhere, although the proxy is on this machine.
        local = address is not None and address.is_loopback and not forwarded and (not name or is_loopback_name(name))
        return WebVisitor("" if address is None else str(address), name, tls or local, behind, host, self.url, tls)

    def why_refused(self, visitor: WebVisitor) -> str | None:
        """
        Why no page is shown to *visitor*, who knows this server by a name that is not its own; None if it is.

        An IP address is accepted whatever it is, because no site can make its own name look like one.  So is a visitor
        that names no host, as only programs do.
        """
        host = visitor.host
        if not host or is_loopback_name(host) or _address(host) is not None or host in self.names:
            return None
        shown = printable(host, longest=_LONGEST_SHOWN)
        return (
            f"This farm does not know itself by the name {shown}.  If that is its name, its admin sets "
            "c['buildbotURL'] in master.cfg to the address with that name."
        )


def host_name(host: str) -> str:
    """
    The name in *host*, the value of a ``Host`` header or the host of a URL: in lower case, without user, port, brackets
    and final dot.
    """
    name = host.strip().lower().rpartition("@")[2]
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.removesuffix(".")


def is_loopback_name(name: str) -> bool:
    """
    Whether *name* leads to the machine of who uses it, whatever the DNS says (RFC 6761, section 6.3).
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def split_url(url: str) -> SplitResult:
    """
    The parts of *url*, as a stranger sends it; of one that is too long for a URL of ours, or is none, empty ones.
    """
    try:
        return urlsplit(url if len(url) <= _LONGEST_URL else "")
    except ValueError:
        return urlsplit("")


def _place(url: str) -> tuple[str, str, int] | None:
    """
    Scheme, host and port of *url*; None if it names no web server.
    """
    parts = split_url(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    host = host_name(parts.netloc)
    # A Host has no user, and neither has an origin.
    return None if port is None or not host or "@" in parts.netloc else (parts.scheme, host, port)


def _first_stranger(peer: Address, hops: str, trusted: Sequence[Network]) -> Address | None:
    """
    The last address in *hops* that is no proxy's; *peer* if all are.  None: a proxy did not understand an address.
    """
    address = peer
    for hop in reversed(hops.split(",")[-MOST_HOPS:]):
        if not hop.strip():
            continue
        found = _address(host_name(hop))
        if found is None:
            return None
        address = found
        if not _is_in(address, trusted):
            break
    return address


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip()


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    return _parsed(text) if len(text) <= _LONGEST_ADDRESS else None


# A client sends the same ones with each request, and to parse them took a tenth of a small answer.
@lru_cache(_MOST_REMEMBERED)
def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket of both families tells IPv4 peers like this.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _host_of(url: object) -> str:
    try:
        return host_name(urlsplit(url).netloc) if isinstance(url, str) else ""
    except ValueError:
        return ""


def _network(text: object) -> Network | None:
    try:
        return ip_network(str(text), strict=False)
    except ValueError:
        return None
