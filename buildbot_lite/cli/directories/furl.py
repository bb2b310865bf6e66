"""
Print the FURL of a slave or a Submit scheduler; give a slave another one.
"""

import os
import re
import shlex

import click

from ...errors import BuildbotLiteError, NotFoundError
from ...model.suggestions import did_you_mean
from ...storage.files import remove, write_whole
from ...storage.lock import is_locked
from ..command_line.groups import Commands, not_empty
from ..output.printing import new_secret_file, secret_file_option, tell
from .given_furl import given_furl

commands = Commands()

_STRING = re.compile(r"pb://[^\s\"']+")


@commands.command("furl", short_help="Print the string of a slave or a Submit scheduler, or replace a slave's.")
@click.option("--replace", is_flag=True, help="Give the slave in DIR the string NAME; - reads it from standard input.")
@click.argument("directory", metavar="DIR", callback=not_empty)
@secret_file_option
@click.argument("name", metavar="NAME|-")
def furl_of(directory: str, name: str, replace: bool, to: str | None) -> None:
    """
    Print the string of the slave or the Submit scheduler NAME of the master in DIR.

    For example:

    buildbot-lite furl farm bot1 | ssh bot1 buildbot-lite create-slave bot1 -

    With --replace, run on the slave's machine, give the slave in DIR another string, because its own was rotated or
    revoked.  Everything else in DIR stays as it is.
    """
    from ...wire.furl import read_furl
    from ..processes import LOCK, Kind, kind_of, strings_in

    kind = kind_of(directory)
    if replace and to is not None:
        raise click.UsageError("--replace prints no string: leave --to out.")
    if replace:
        if kind is Kind.WEB:
            raise NotFoundError(
                f"{directory} is a web process's directory.  Put the new string into its web.tac; strings that its "
                "master wrote are replaced with: buildbot-lite rotate 'web pages'"
            )
        if kind is not Kind.SLAVE:
            raise NotFoundError(f"{directory} is a master's directory.  For a new string: buildbot-lite rotate NAME")
        _replace(directory, name)
        return
    if kind is not Kind.MASTER:
        where = f"{kind.tac} or private" if kind is Kind.WEB else kind.tac
        raise NotFoundError(f"{directory} is a {kind.noun}'s directory; its string is in {where}.")
    known = strings_in(directory)
    if not known:
        then = f"Start it with: buildbot-lite start {shlex.quote(directory)}"
        if is_locked(os.path.join(directory, LOCK)):
            then = "It is starting: repeat this command in a moment."
        raise NotFoundError(f"There are no strings in {directory} yet: the master writes them when it starts.  {then}")
    if name not in known:
        near = did_you_mean(name, known, see=f"ls {shlex.quote(os.path.join(directory, 'furls'))}")
        raise NotFoundError(f"There is no string for {name!r:.100} in {directory}.{near}")
    furl = read_furl(os.path.join(directory, "furls", f"{name}.furl"))
    if to is None:
        click.echo(furl)
        return
    with new_secret_file(to) as give:
        give(furl)


def _replace(directory: str, furl: str) -> None:
    from ...wire.furl import parse

    parts = parse(given_furl(furl, f"furl --replace {shlex.quote(directory)} -"))
    # Where slave.tac is a link, the file that it leads to is the slave's.
    path = os.path.realpath(os.path.join(directory, "slave.tac"))
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if _STRING.search(line.partition("#")[0])]
    if len(found) != 1:
        count = "no string" if not found else "several strings"
        raise BuildbotLiteError(f"{path} has {count}.  Edit that file yourself, and put the new string into it.")
    before = os.stat(path)
    lines[found[0]] = _STRING.sub(lambda _: str(parts), lines[found[0]], count=1)
    write_whole(path, "".join(lines).encode("utf-8", "surrogateescape"))
    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        # An admin runs this; the slave's own user must be able to read the file.
        os.chown(path, before.st_uid, before.st_gid)
        os.chmod(path, 0o640 if before.st_mode & 0o077 == 0o040 else 0o600)
    # The hints of an earlier master are wrong for this one.
    remove(os.path.join(directory, "private", "hints"))
    tell(f"The slave in {directory} has a new string.  The slave will connect to {', '.join(parts.hints)}.")
    tell(f"If it runs:  buildbot-lite restart {shlex.quote(directory)}")
