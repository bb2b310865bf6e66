"""
Credentials for the git commands that connect to a repository: a key as a private file; user and password through a
credential helper (gitcredentials(7)) that answers for the repository's own host only.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ...model.urls import split_url

_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    # Not echo, which reads backslashes in some shells.
    'printf "username=%s\\npassword=%s\\n" "$BUILDBOT_LITE_USER" "$BUILDBOT_LITE_PASSWORD"; }; f'
)


class RemoteAccess(NamedTuple):
    """
    How a git command gets credentials: *settings* of git, as ``name=value``; *env*: environment variables; *files*:
    environment variable → contents of a private file, whose path the variable gets.
    """

    settings: Sequence[str]
    env: Mapping[str, str | None]
    files: Mapping[str, str]


def remote_access(
    repourl: str,
    *,
    key: str | None,
    host_key: str | None,
    known_hosts: str | None,
    credentials: tuple[str, str] | None,
) -> tuple[str, RemoteAccess]:
    """
    Return *repourl* without a password, and the credentials for it.

    *key*: the private key for ssh.  *host_key*: the public key of the host, or *known_hosts*: lines of a known_hosts
    file.  *credentials*: user and password for http and https; None: those in *repourl*, if there are any.  For each
    that is None, the slave's own configuration applies.

    A user without a password in *repourl* is the user name for http and https.  If the slave's configuration has no
    password for it, it is a token, and the password is empty.
    """
    url, in_url, user = split_url(repourl)
    credentials = credentials or in_url
    known_hosts = known_hosts if host_key is None else f"* {host_key}"
    env: dict[str, str | None] = {}
    files: dict[str, str] = {}
    settings: list[str] = []
    ssh = ["ssh -o BatchMode=yes"]
    if key is not None:
        # ssh refuses a key without a newline at its end.
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
        # The script on the slave completes the first setting from BUILDBOT_LITE_USER.  Git asks credential helpers in
        # order, and those of the slave's configuration come before this one.
        settings = [f"credential.{web_host(url)}.username=", f"credential.{web_host(url)}.helper={_HELPER}"]
    return url, RemoteAccess(settings, env, files)


def web_host(url: str) -> str | None:
    """
    ``scheme://host[:port]`` of an http or https *url*; None for any other.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    # urlsplit removes the brackets of an IPv6 address; git needs them.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
