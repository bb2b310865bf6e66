"""
Make directories of masters, slaves and web processes; print and replace FURLs.
"""

import os
import re
import shlex
from importlib.resources import files

import click

from ..errors import (
    BuildbotLiteError,
    FurlError,
    NotFoundError,
)
from ..model.suggestions import did_you_mean
from ..storage.files import (
    check_directory,
    check_unused,
    make_directory,
    remove,
    write_whole,
)
from .commands import Commands, need_master_packages, not_empty
from .output import note, read_secret, tell
from .processes import WEB, is_there

commands = Commands()

MASTER_TAC = """\
# A master of a buildbot_lite farm.  Start it in this file's directory with:  twistd -y master.tac
# Its configuration is master.cfg.

from buildbot_lite.master_tap import application_for

application = application_for(__file__)
"""
_STRING = re.compile(r"pb://[^\s\"']+")
PLACEHOLDER = "pb://PUT-THE-SLAVES-STRING-HERE"
WEB_PLACEHOLDER = '# webhooks="pb://PUT-THE-STRING-HERE",'


@commands.command("create-master", short_help="Make the directory of a master.")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="The port to listen at, instead of a free one."
)
@click.option(
    "--host", metavar="HOST", help="The name or address by which slaves find this machine, instead of its own name."
)
def create_master(directory: str, port: int | None, host: str | None) -> None:
    """
    Make DIR the directory of a master.

    The directory gets a master.cfg that works as it is, with comments, and the directory web for the farm's web
    process.  Port and host name are part of every string of the master, so they are chosen once, by this command.
    """
    need_master_packages()
    from ..master.grants import listening

    check_unused(directory)
    with_host = listening.choose_host() if host is None else listening.test_address(listening.checked_address(host))
    make_directory(directory)
    private = os.path.join(directory, "private")
    make_directory(private)
    if port is not None:
        write_whole(os.path.join(private, listening.PORT), f"{port}\n".encode())
    port = listening.kept_port(private)
    listening.keep_host(private, with_host.host)
    write_whole(os.path.join(directory, "master.cfg"), sample("master.cfg.sample").encode())
    write_whole(os.path.join(directory, "master.tac"), MASTER_TAC.encode())
    for name in ("records", "streams", "artifacts"):
        # The master would make them when it needs them: too late for a web process that is shown these alone.
        make_directory(os.path.join(directory, name))
    _make_web(os.path.join(directory, WEB), None)
    tell(f"Created {directory}, the directory of a master.  The master will listen on port {port}.")
    if not with_host.problem:
        tell(f"Its strings will name the host {with_host.host} (checked: that name reaches this machine).")
    elif host is not None:
        tell(f"Its strings will name the host {with_host.host}, although {with_host.problem}.")
    else:
        tell(
            f"Its strings will name the host {with_host.host}, because {with_host.problem}: only slaves on this "
            "machine can use them.  For slaves elsewhere, set c['location'] in master.cfg."
        )
    tell(f"Now:  buildbot-lite start {shlex.quote(directory)}")


@commands.command("create-slave", short_help="Make the directory of a slave.")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.argument("furl", metavar="FURL|-")
def create_slave(directory: str, furl: str) -> None:
    """
    Make DIR the directory of a slave, which needs one string: its FURL, from the master's buildslave.furls.

    With - the string is read from standard input, where no other user of this machine can see it.
    """
    from ..wire.furl import parse

    parts = parse(_given(furl, f"create-slave {shlex.quote(directory)} -"))
    check_unused(directory)
    text = sample("slave.tac.sample")
    assert PLACEHOLDER in text
    make_directory(directory)
    write_whole(os.path.join(directory, "slave.tac"), text.replace(PLACEHOLDER, str(parts)).encode())
    tell(f"Created {directory}, the directory of a slave.  The slave will connect to {', '.join(parts.hints)}.")
    tell(f"Now:  buildbot-lite start {shlex.quote(directory)}")


@commands.command("create-web", short_help="Make the directory of a web process.")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.argument("furl", metavar="[FURL|-]", required=False)
def create_web(directory: str, furl: str | None) -> None:
    """
    Make DIR the directory of a web process, which receives webhooks and passes them to the master.

    In a master's directory it needs no string, because the master writes it there.  create-master has made such a
    directory; for a farm that is older: buildbot-lite create-web farm/web

    Elsewhere it needs one string, that of buildbot-lite grant webhooks.  For example:

    buildbot-lite grant webhooks farm | buildbot-lite create-web web -

    With - the string is read from standard input, where no other user of this machine can see it.
    """
    from ..wire.furl import parse

    if furl is None:
        _create_web_beside_master(directory)
        return
    parts = parse(_given(furl, f"create-web {shlex.quote(directory)} -"))
    check_unused(directory)
    _make_web(directory, str(parts))
    tell(
        f"Created {directory}, the directory of a web process.  It will take webhooks, and hand them to the master at "
        f"{', '.join(parts.hints)}."
    )
    tell(f"Now:  buildbot-lite start {shlex.quote(directory)}")


def _create_web_beside_master(directory: str) -> None:
    check_directory(directory)
    farm, name = os.path.split(os.path.abspath(directory))
    if name != WEB or not is_there(farm, "master.cfg"):
        quoted = shlex.quote(directory)
        raise BuildbotLiteError(
            f"{directory} is not the directory {WEB} of a master, so the master will not write a string there.  Give "
            f"the string: buildbot-lite grant webhooks FARM | buildbot-lite create-web {quoted} -"
        )
    check_unused(directory)
    _make_web(directory, None)
    farm = os.path.dirname(directory.rstrip(os.sep)) or os.curdir
    tell(f"Created {directory}, the directory of the web process of {farm}.")
    # Also where the master runs: it writes the strings when it starts.
    tell(f"Now:  buildbot-lite restart {shlex.quote(farm)}")


def _make_web(directory: str, furl: str | None) -> None:
    """
    Make the *directory* of a web process with the string *furl*; None: the master will write it there.
    """
    text = sample("web.tac.sample")
    assert WEB_PLACEHOLDER in text
    if furl is not None:
        text = text.replace(WEB_PLACEHOLDER, f'webhooks="{furl}",')
    make_directory(directory)
    make_directory(os.path.join(directory, "private"))
    write_whole(os.path.join(directory, "web.tac"), text.encode())


@commands.command("furl", short_help="Print the string of a slave or a Submit scheduler, or replace a slave's.")
@click.option("--replace", is_flag=True, help="Give the slave in DIR the string NAME; - reads it from standard input.")
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.argument("name", metavar="NAME|-")
def furl_of(directory: str, name: str, replace: bool) -> None:
    """
    Print the string of the slave or the Submit scheduler NAME of the master in DIR.

    For example:

    buildbot-lite furl farm bot1 | ssh bot1 buildbot-lite create-slave bot1 -

    With --replace, run on the slave's machine, give the slave in DIR another string, because its own was rotated or
    revoked.  Everything else in DIR stays as it is.
    """
    from ..wire.furl import read_furl
    from .processes import Kind, kind_of, strings_in

    kind = kind_of(directory)
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
        raise NotFoundError(
            f"There are no strings in {directory} yet: the master writes them when it starts.  "
            f"Start it with: buildbot-lite start {shlex.quote(directory)}"
        )
    if name not in known:
        near = did_you_mean(name, known, see=f"ls {shlex.quote(os.path.join(directory, 'furls'))}")
        raise NotFoundError(f"There is no string for {name!r:.100} in {directory}.{near}")
    click.echo(read_furl(os.path.join(directory, "furls", f"{name}.furl")))


def _replace(directory: str, furl: str) -> None:
    from ..wire.furl import parse

    parts = parse(_given(furl, f"furl --replace {shlex.quote(directory)} -"))
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


def _given(furl: str, command: str) -> str:
    """
    The FURL for *command*, from its argument or from standard input.
    """
    if furl == "-":
        return _read_string()
    # A string that is damaged is as secret; a path or a name, given by mistake, is not.
    if "pb:" in furl or "@" in furl:
        note(
            "Warning: while this command ran, every user of this machine could read that string in the list of "
            f"processes.  Next time: buildbot-lite {command}    (and paste the string)"
        )
    return furl


def sample(name: str) -> str:
    """
    The text of an installed sample file.
    """
    return files("buildbot_lite").joinpath("samples", name).read_text("utf-8")


def _read_string() -> str:
    from ..wire.furl import furls_in

    text = read_secret("The string")
    if not text.strip():
        raise FurlError(
            "There is nothing on standard input, where the string was expected.  (If a command before the pipe failed, "
            "mend that first.)"
        )
    strings = furls_in(text)
    if len(strings) > 1:
        raise FurlError("These are several strings.  Give one; that of a slave is a line of buildslave.furls.")
    # The parser says what is wrong with other text.
    return strings[0] if strings else text.strip()
