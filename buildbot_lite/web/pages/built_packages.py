"""
What was built for one target, and how its repository is used: for its page and for the API.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError
from ...packages.keys.openpgp import fingerprints, read_public_keys
from ...packages.records import job_lists
from ..farm.live import Document, is_private
from ..farm.public_files import ARMORED, has_public
from ..farm.published_packages import PublishedVersion
from ..page_request import PageRequest
from ..view import FarmView

_ANY_PACKAGE = "PACKAGE"


@frozen
class RepositoryUse:
    """
    How users get what a repository has, with *tool*, apt or dnf.  *commands*: for a shell; where *is_private*, STRING
    stands for a string to watch the farm, and where the farm's address is not known (*is_known*), THIS-FARM for its
    name.  *fingerprints*: of the keys that the farm serves.
    """

    tool: str
    is_signed: bool
    is_private: bool
    is_known: bool
    address: str
    fingerprints: Sequence[str]
    commands: str


@frozen
class BuiltSource:
    """
    The newest finished *job* of a source package.
    """

    name: str
    version: str
    job: int


@frozen
class BuiltPackages:
    """
    A part of what was built for *target*: *versions* of its published packages if it *is_published*, and else
    *sources*, as far as the records have them.  *following*: the last name of this part, if others follow.  *known*:
    what the master says of the target; None: nothing.  *is_pushed*: whether it has a repository.
    """

    target: str
    known: Document | None
    is_pushed: bool
    is_published: bool
    versions: Sequence[PublishedVersion]
    sources: Sequence[BuiltSource]
    following: str | None
    use: RepositoryUse | None


async def built_packages(
    view: FarmView, asked: PageRequest, target: str, *, after: str, text: str, most: int
) -> BuiltPackages:
    """
    What was built for *target*, in the order of the names: those after the name *after*, at most *most*, and of
    published packages those with *text* in their names, in lower case.  `NotFoundError` if there is no such target.
    """
    live, www = await view.told(asked, "package-targets"), await view.told(asked, "www")
    directory = view.places().repositories.get(target)
    pushed = directory is not None
    published = None if directory is None else await view.published.of(directory)
    versions, following = ((), None) if published is None else published.page(text, after, most)

    def read(after: str, most: int) -> Callable[[Connection], list[tuple[str, str, int]]]:
        return lambda connection: job_lists.newest_finished(connection, target, most, after=after, pushed=pushed)

    found = await view.records.read(read(after, most + 1)) if published is None else []
    known = next((each for each in live.get("targets") or () if each["target"] == target), None)
    if known is None and published is None and not (found or await view.records.read(read("", 1))):
        raise NotFoundError(f"There is no target {target!r:.100}.")
    return BuiltPackages(
        target=target,
        known=known,
        is_pushed=pushed,
        is_published=published is not None,
        versions=versions,
        sources=[BuiltSource(*each) for each in found[:most]],
        following=found[most - 1][0] if len(found) > most else following,
        use=_use(view, target, known or {}, www, versions[0].name if versions else _ANY_PACKAGE),
    )


def _use(view: FarmView, target: str, known: Document, www: Document, package: str) -> RepositoryUse | None:
    """
    How users get what the repository of *target* has, such as *package*; None: it has none, or nothing is public yet.
    *known*: what the master says of the target.  *www*: what it says of the pages.
    """
    directory = view.places().repositories.get(target)
    is_rpm = known.get("kind") == "RpmTarget"
    index = ("repodata", "repomd.xml") if is_rpm else ("dists", target, "Release")
    if directory is None or not has_public(directory, *index):
        return None
    key = view.places().keys.get(target)
    signature = ("repodata", "repomd.xml.asc") if is_rpm else ("dists", target, "InRelease")
    is_signed, private, url = has_public(directory, *signature), is_private(www), www.get("url")
    address = f"{url or 'https://THIS-FARM/'}repositories/{quote(target, safe='')}/"
    commands = _of_dnf if is_rpm else _of_apt
    return RepositoryUse(
        tool="dnf" if is_rpm else "apt",
        is_signed=is_signed,
        is_private=private,
        is_known=url is not None,
        address=address,
        fingerprints=[] if key is None else fingerprints(read_public_keys(key.encode(), "the key")),
        commands=commands(target, address, package, is_signed=is_signed, is_private=private, has_key=key is not None),
    )


def _of_dnf(target: str, address: str, package: str, *, is_signed: bool, is_private: bool, has_key: bool) -> str:
    write = "install -m 600 /dev/stdin" if is_private else "tee"
    key = f"{address}{ARMORED}" if has_key else f"file:///etc/pki/rpm-gpg/{target}.asc"
    return _text(
        f"sudo {write} /etc/yum.repos.d/{target}.repo <<'END'",
        f"[{target}]",
        f"name={target}",
        f"baseurl={address}",
        *(("gpgcheck=1", "repo_gpgcheck=1", f"gpgkey={key}") if is_signed else ("gpgcheck=0",)),
        *(("username=farm", "password=STRING") if is_private else ()),
        "END",
        f"sudo dnf install {package}",
    )


def _of_apt(target: str, address: str, package: str, *, is_signed: bool, is_private: bool, has_key: bool) -> str:
    key = f"/etc/apt/keyrings/{target}.{'gpg' if has_key else 'asc'}"
    by = " --user farm:STRING" if is_private else ""
    # apt_auth.conf(5): without a scheme, for https alone.
    machine = address if address.startswith("http:") else address.partition("://")[2]
    login = (
        f"sudo install -m 600 /dev/stdin /etc/apt/auth.conf.d/{target}.conf <<'END'",
        f"machine {machine}",
        "login farm",
        "password STRING",
        "END",
    )
    return _text(
        *((f"sudo curl{by} --fail --output {key} {address}key.gpg",) if has_key and is_signed else ()),
        *(login if is_private else ()),
        f"sudo tee /etc/apt/sources.list.d/{target}.sources <<'END'",
        "Types: deb",
        f"URIs: {address}",
        f"Suites: {target}",
        "Components: main",
        f"Signed-By: {key}" if is_signed else "Trusted: yes",
        "END",
        "sudo apt update",
        f"sudo apt install {package}",
    )


def _text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
