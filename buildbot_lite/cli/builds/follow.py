"""
Follow one request with a watch FURL, which a submission prints on its first line.
"""

import shlex
from typing import Any

import click

from ...errors import FurlError
from ..asking.connection import Connect, connect
from ..command_line.groups import Commands
from ..output.printing import note, read_secret

commands = Commands()


@commands.command(short_help="Follow a request with its watch string.")
@click.argument("furlfile", metavar="FURLFILE|-")
@click.pass_obj
def follow(connector: Connect | None, furlfile: str) -> Any:
    """
    Show the log and the remarks of one request, from the beginning; the exit code is the build's.

    The watch string is read from FURLFILE or, with -, from standard input.  The first line of a submission's output,
    which contains the string, works as well.
    """
    if furlfile.startswith("pb://"):
        raise click.UsageError("Every user of this machine can read a string among arguments: give a file, or -.")
    if not furlfile:
        raise click.UsageError("FURLFILE is a file, and this is an empty word.")
    furl = _furl(furlfile)
    advice = f"The build continues.  To see it: buildbot-lite follow {shlex.quote(furlfile)}"
    try:
        answer = (connector or connect)(furl, lambda link: link.watch(advice))
    except KeyboardInterrupt:
        note(f"\n{advice}")
        raise click.Abort from None
    return int(answer["exit_code"])


def _furl(furlfile: str) -> str:
    from ...wire.furl import furls_in, text_in

    text = read_secret("The watch string") if furlfile == "-" else text_in(furlfile)
    furls = furls_in(text)
    if len(furls) != 1:
        where = "On standard input" if furlfile == "-" else f"In {furlfile}"
        raise FurlError(f"{where} there is {'more than one' if furls else 'no'} string that begins with pb://.")
    return furls[0]
