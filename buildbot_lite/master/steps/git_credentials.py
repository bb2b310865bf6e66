"""
What git is given where it speaks to a repository, and nowhere else: a key as a private file, user and password through
a credential helper that knows them for the repository's own host alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    # Not echo, which reads backslashes in some shells.
    'printf "username=%s\\npassword=%s\\n" "$BUILDBOT_LITE_USER" "$BUILDBOT_LITE_PASSWORD"; }; f'
)


class RemoteAccess(NamedTuple):
    """
    *settings* of git as ``name=value``, variables for its *env*, and private *files*.
    """

    settings: Sequence[str]
    env: Mapping[str, str | None]
    files: Mapping[str, str]


def remote_access(
    url: str, *, key: str | None, known_hosts: str | None, credentials: tuple[str, str] | None, user: str | None = None
) -> RemoteAccess:
    """
    What it takes for the repository at *url*: the private *key* for ssh, lines for ssh's *known_hosts*, and user and
    password as *credentials* for one on the web.  What is None is not given: the slave's own counts.

    Without *credentials*, *user* is who to be on the web: the slave's own configuration may know a password, and if it
    does not, the user is a token, which goes without one.
    """
    env: dict[str, str | None] = {}
    files: dict[str, str] = {}
    settings: list[str] = []
    ssh = ["ssh -o BatchMode=yes"]
    if key is not None:
        # A key without its last line's end is none, for ssh.
        files["BUILDBOT_LITE_SSH_KEY"] = f"{key}\n"
        ssh.append('-o IdentitiesOnly=yes -i "$BUILDBOT_LITE_SSH_KEY"')
    if known_hosts is not None:
        files["BUILDBOT_LITE_KNOWN_HOSTS"] = f"{known_hosts}\n"
        ssh.append('-o StrictHostKeyChecking=yes -o "UserKnownHostsFile=\\"$BUILDBOT_LITE_KNOWN_HOSTS\\""')
    if files:
        env["GIT_SSH_COMMAND"] = " ".join(ssh)
    if credentials is not None:
        env["BUILDBOT_LITE_USER"], env["BUILDBOT_LITE_PASSWORD"] = credentials
        settings = ["credential.helper=", f"credential.{web_host(url)}.helper={_HELPER}"]
    elif user is not None:
        env["BUILDBOT_LITE_USER"], env["BUILDBOT_LITE_PASSWORD"] = user, ""
        # The value of the first is put in on the slave.  Helpers are asked in their order: this one is the last.
        settings = [f"credential.{web_host(url)}.username=", f"credential.{web_host(url)}.helper={_HELPER}"]
    return RemoteAccess(settings, env, files)


def web_host(url: str) -> str | None:
    """
    Scheme, host and port of a repository on the web; None for any other.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    # An address of IPv6 had brackets, and has them for git.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
