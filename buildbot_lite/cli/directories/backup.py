"""
Back a farm up, and restore it.
"""

import shlex
import time
from datetime import datetime

import click

from ..command_line.groups import FILE, Commands, directory_argument, need_master_packages, not_empty
from ..output.printing import note, tell
from ..processes import need_a_master

commands = Commands()

MOST_NAMED = 20


@commands.command(short_help="Back up the farm, while its master runs.")
@click.argument("file", type=FILE, callback=not_empty)
@directory_argument
@click.option("--logs", is_flag=True, help="Also the logs of all other builds.")
@click.option("--artifacts", is_flag=True, help="Also the artifacts of all other builds.")
@click.option("--overwrite", is_flag=True, help="Replace FILE, also if it is no earlier backup of this farm.")
def backup(file: str, directory: str, logs: bool, artifacts: bool, overwrite: bool) -> None:
    """
    Write a backup of the farm in DIR to FILE, a tar archive with mode 0600.

    It contains the records, the farm's key and everything else in private/, master.cfg and the files beside it,
    submitted inputs, and the logs and artifacts of unfinished builds and of those that keep marked.  Whoever can read
    FILE can act as the master.  An earlier backup of the same farm is replaced, when the new one is complete; another
    file only with --overwrite.
    """
    need_master_packages()
    from ...storage.backup import Backup

    need_a_master(directory)
    result = Backup(
        directory, file, logs=logs, artifacts=artifacts, note=note, wall=time.time, overwrite=overwrite
    ).make()
    tell(f"Backed up {directory} to {file}: {result.files} files, {result.length} bytes.")


@commands.command(short_help="Make a master's directory from a backup.")
@click.argument("file", type=FILE, callback=not_empty)
@click.argument("directory", metavar="DIR", callback=not_empty)
@click.option(
    "--revocations",
    type=FILE,
    metavar="FILE",
    help="The former master's private/revocations.log, if it is not where it was.",
)
@click.option(
    "--keep-strings", is_flag=True, help="Without that file, keep all strings valid, also those revoked since."
)
def restore(file: str, directory: str, revocations: str | None, keep_strings: bool) -> None:
    """
    Verify the backup FILE, and make a master's directory from it in DIR, which must be new or empty.

    Slaves can use the strings that they have, and refuse the former master from then on.  Strings that were revoked or
    used up since the backup stay invalid; private/revocations.log of the former master tells which.  Without that file,
    only the strings of slaves stay valid.
    """
    need_master_packages()
    from ...storage.restoring import Restoration, Strings

    done = Restoration(file, directory, revocations, keep_strings, time.time).run()
    made_at = datetime.fromtimestamp(done.manifest.made).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    tell(
        f"Restored {done.manifest.directory} of {made_at} into {directory}: {done.manifest.files} files, "
        f"epoch {done.epoch}."
    )
    names = [f"{grant.verb} {grant.label or grant.name}" for grant in done.void if grant.verb != "watch"]
    named = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    if done.strings is Strings.LOGGED and names:
        note(f"Void, because they were revoked or used up since the backup: {named}.")
    elif done.strings is Strings.VOID:
        note(
            "No private/revocations.log tells which strings were revoked since the backup.  So all are void but those "
            f"of slaves: {named or 'none'}.  The master makes new ones for its files when it starts.  If a slave's was "
            "revoked since, revoke it again."
        )
    elif done.strings is Strings.KEPT:
        note("Strings that were revoked or used up since the backup are valid again, because you chose --keep-strings.")
    if lost := [grant.name for grant in done.void if grant.verb == "slave"]:
        note(f"For a new string: {'; '.join(f'buildbot-lite rotate {name}' for name in lost[:MOST_NAMED])}")
    if done.unmarked:
        note(f"{done.unmarked} cannot be written.  Remove it: later revocations are only in the restored farm's.")
    tell(f"Now:  buildbot-lite start {shlex.quote(directory)}    (and never start the former master again)")
