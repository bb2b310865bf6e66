"""
Report a change; list the newest ones.
"""

import sys
from contextlib import nullcontext
from typing import Any

import click

from ...errors import FileError
from ..asking.arguments import newest_options, property_option
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import FILE, Commands
from ..command_line.quantities import WHEN
from ..output.printing import json_option, note, show, tell

commands = Commands()

MOST = 1000
_LARGEST_FILE = 1 << 20
"""Bytes that are read of a log message or a revision; the master takes less."""


@commands.command(cls=FarmCommand, short_help="Tell the farm about a change.")
@click.argument("files", nargs=-1)
@click.option("-W", "--who", "--author", "who", required=True, metavar="NAME", help="The author.")
@click.option("-b", "--branch", metavar="NAME", help="The branch.")
@click.option("-r", "--revision", metavar="NAME", help="The revision.")
@click.option("--revision_file", type=FILE, metavar="FILE", help="A file with the revision.")
@click.option("-R", "--repository", metavar="URL", help="The repository.")
@click.option("-P", "--project", metavar="NAME", help="The project.")
@click.option("--codebase", metavar="NAME", help="The codebase.")
@click.option("-C", "--category", metavar="NAME", help="The category.")
@click.option("-c", "--comments", metavar="TEXT", help="The log message.")
@click.option("-F", "--logfile", metavar="FILE", help="A file with the log message; -: standard input.")
@property_option("A property of the change")
@click.option("-w", "--when", type=WHEN, help="When it happened: a date, or seconds since 1970.")
@click.option("-l", "--revlink", metavar="URL", help="A page about the revision.")
@click.option("-e", "--encoding", default="utf-8", show_default=True, help="The character set of --logfile.")
def sendchange(
    farm: FarmClient,
    files: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    revision_file: str | None,
    logfile: str | None,
    encoding: str,
    **given: Any,
) -> None:
    """
    Tell the farm that FILES changed.  Schedulers treat it like a change from any other source.
    """
    if revision_file is not None:
        if given["revision"] is not None:
            raise click.UsageError("Give --revision or --revision_file, not both.")
        given["revision"] = _read(revision_file, "utf-8").strip()
    if logfile is not None:
        if given["comments"] is not None:
            raise click.UsageError("Give --comments or --logfile, not both.")
        given["comments"] = _read(logfile, encoding)
    change = {name: value for name, value in given.items() if value is not None}
    answer = farm.ask({"ask": "sendchange", "change": {**change, "files": list(files), "properties": dict(pairs)}})
    if answer["change"] is None:
        tell("This change was recorded before.")
    else:
        tell(f"Recorded as change {answer['change']}.")
    for each in answer.get("remarks", ()):
        note(each)


@commands.command(cls=FarmCommand, short_help="The newest changes, and the builds that they caused.")
@newest_options(MOST)
@json_option
def changes(farm: FarmClient, most: int, before: int | None, as_json: bool) -> None:
    """
    The newest changes to the sources, and the builds that each of them caused.
    """
    found, older = farm.call(lambda link: _page(link, most, before))
    show(found, "changes", as_json=as_json)
    if older is not None and not as_json:
        words = [] if most == 20 else ["--most", most]
        note(f"# older ones: {farm.command('changes', *words, '--before', older)}")


async def _page(link: MasterLink, most: int, before: int | None) -> tuple[list[Any], int | None]:
    """
    At most *most* changes, and where older ones begin.  A master gives some at a time, so it is asked until there are
    enough, or no more.
    """
    found: list[Any] = []
    while True:
        place = {} if before is None else {"before": before}
        answer = await link.ask({"ask": "changes", "most": most - len(found), **place})
        found += answer["changes"]
        before = answer["before"]
        if before is None or len(found) >= most:
            return found, before


def _read(path: str, encoding: str) -> str:
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            return file.read(_LARGEST_FILE).decode(encoding, "replace")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None
    except LookupError:
        raise click.UsageError(f"There is no encoding {encoding!r:.40}.") from None
