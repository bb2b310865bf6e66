"""
The git repositories from which a target takes sources, ``sources=`` in master.cfg.

A submitter gives a revision, and the name of a package or an address that master.cfg lists.  So submitters cannot make
slaves connect to other addresses.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from ...errors import InputError
from ...master.config.arguments import ArgumentChecker
from ...model.urls import split_url
from ..formats.git_request import GitRequest
from ..formats.source_package import LONGEST_WORD

NAME = "{name}"
MOST_SOURCES = 50
GIT_ARGUMENTS = frozenset(
    {"auth_credentials", "sshPrivateKey", "sshHostKey", "sshKnownHosts", "submodules", "retry", "timeout", "env"}
)
"""The arguments of the step `Git` that a target may give."""
CREDENTIALS = frozenset({"auth_credentials", "sshPrivateKey"})
PROTOCOLS = "https:http:ssh:git"
"""The protocols that git(1) may use, also after a redirection and for submodules: the value of GIT_ALLOW_PROTOCOL."""

# A host, and then a path; of the forms in git-clone(1), "GIT URLS", those that name no file of the slave.
_ADDRESS = re.compile(
    r"(?P<host>(?:https?|ssh|git)://[A-Za-z0-9@:._~\[\]-]+/|[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:)"
    r"(?P<path>[!-z|~]*(?:\{name\}[!-z|~]*)?)\Z"
)
_A_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]{0,127})"


@frozen
class GitSources:
    """
    *addresses*: of repositories, some with ``{name}`` in the place of the package's name.  *arguments*: of the step
    that checks them out.
    """

    addresses: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.addresses)

    def address(self, request: GitRequest, target: str) -> str:
        """
        The address of the repository that *request* names.  *target*: whose sources these are, for `InputError`.
        """
        if not self:
            raise InputError(f"{target} takes source packages only: its sources= in master.cfg names no repository.")
        if request.repository:
            if not self.lists(request.repository):
                raise InputError(
                    f"{target} takes nothing from {request.repository!r:.200}; it takes sources from "
                    f"{_shown(self.addresses)}."
                )
            return request.repository
        if not request.package:
            return self._only(target)
        pattern = next((each for each in self.addresses if NAME in each), None)
        if pattern is None:
            raise InputError(f"{target} has no repository by name; give its address, of {_shown(self.addresses)}.")
        return pattern.replace(NAME, request.package)

    def _only(self, target: str) -> str:
        if len(self.addresses) != 1 or NAME in self.addresses[0]:
            raise InputError(
                f"{target} has more than one repository, so a revision alone is not enough.  Give the name of a "
                f"package or the address of its repository, too, of {_shown(self.addresses)}."
            )
        return self.addresses[0]

    def lists(self, address: str) -> bool:
        """
        Whether *address* is one of these.
        """
        return any(_pattern(each).match(address) for each in self.addresses)

    def name_in(self, address: str) -> str:
        """
        The name of the package in *address*; "" if no address with ``{name}`` fits; the shortest if several do:
        ``https://git.example.org/{name}`` also has hello.git.
        """
        matches = [match for each in self.addresses if NAME in each and (match := _pattern(each).match(address))]
        return min((match["name"] for match in matches), key=len, default="")


def checked_sources(arguments: ArgumentChecker, sources: Any, git: Any) -> GitSources:
    """
    The arguments ``sources`` and ``git`` of a target.
    """
    addresses = arguments.texts("sources", (sources,) if isinstance(sources, str) else sources)
    if len(addresses) > MOST_SOURCES:
        arguments.note(f"sources has {len(addresses)} addresses; at most {MOST_SOURCES} are allowed.")
    good = tuple(each for each in addresses[:MOST_SOURCES] if _is_good(arguments, each))
    given = _git_arguments(arguments, git)
    if given and not addresses:
        arguments.note('git= is for a target with sources=, like "https://git.example.org/{name}.git".')
    if CREDENTIALS & given.keys() and len({_host(each) for each in good}) > 1:
        arguments.note("sources has addresses of several hosts, each of which would get the credentials in git=.")
    if "auth_credentials" in given and not all(each.startswith(("https://", "http://")) for each in good):
        arguments.note("git: auth_credentials are for repositories at https://; use sshPrivateKey for others.")
    return GitSources(good, given)


def name_of_address(address: str) -> str:
    """
    The name of the git repository at *address*: the last part of its path.
    """
    name = re.split(r"[/:]", address.rstrip("/"))[-1].removesuffix(".git")
    return name[:LONGEST_WORD] or "unknown"


def _is_good(arguments: ArgumentChecker, address: str) -> bool:
    _, credentials, token = split_url(address)
    if credentials is not None or token is not None:
        arguments.note('sources has an address with a password or token; use git={"auth_credentials": …}.')
        return False
    if not _ADDRESS.match(address):
        arguments.wrong("sources", address, 'addresses like "https://git.example.org/{name}.git"')
        return False
    return True


def _git_arguments(arguments: ArgumentChecker, git: Any) -> dict[str, Any]:
    if git is None:
        return {}
    if not isinstance(git, Mapping):
        arguments.wrong("git", git, 'a dictionary like {"sshPrivateKey": util.Secret("key")}')
        return {}
    for name in git:
        if name not in GIT_ARGUMENTS:
            arguments.note(f"git has {name!r:.60}; it may have {', '.join(sorted(GIT_ARGUMENTS))}.")
    return {name: value for name, value in git.items() if name in GIT_ARGUMENTS}


def _host(address: str) -> str:
    match = _ADDRESS.match(address)
    return match["host"] if match else ""


def _pattern(address: str) -> re.Pattern[str]:
    before, name, after = address.partition(NAME)
    return re.compile(re.escape(before) + (_A_NAME if name else "") + re.escape(after) + r"\Z")


def _shown(addresses: Sequence[str]) -> str:
    more = ", …" if len(addresses) > 3 else ""
    return ", ".join(addresses[:3]) + more
