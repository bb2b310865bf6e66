"""
Make the directories of masters, slaves and web processes.
"""

import os
import shlex
from importlib.resources import files

import click

from ...errors import (
    BuildbotLiteError,
)
from ...storage.files import (
    check_directory,
    check_unused,
    make_directory,
    write_whole,
)
from ..command_line.groups import Commands, need_master_packages, not_empty
from ..output.printing import tell
from ..processes import WEB, is_there
from .given_furl import given_furl

commands = Commands()

MASTER_TAC = """\
# A master of a buildbot_lite farm.  Start it in this file's directory with:  twistd -y master.tac
# Its configuration is master.cfg.

from buildbot_lite.master_tap import application_for

application = application_for(__file__)
"""
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
    from ...master.grants import listening

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
    from ...wire.furl import parse

    parts = parse(given_furl(furl, f"create-slave {shlex.quote(directory)} -"))
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
    from ...wire.furl import parse

    if furl is None:
        _create_web_beside_master(directory)
        return
    parts = parse(given_furl(furl, f"create-web {shlex.quote(directory)} -"))
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


def sample(name: str) -> str:
    """
    The text of an installed sample file.
    """
    return files("buildbot_lite").joinpath("samples", name).read_text("utf-8")
