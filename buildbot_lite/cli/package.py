"""
Package builds: submit a source package, and see it built for each architecture.
"""

import io
import os
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import IO, Any

import click

from ..errors import FileError, InputError, sentence
from ..model.display import printable
from ..packages.debian_source import LARGEST_DSC, read_dsc
from ..packages.git_request import read_request, request_text
from ..packages.submitted_package import SubmittedPackage, examine
from ..storage.inputs import LARGEST_INPUT
from .commands import Commands
from .connection import FarmClient, FarmCommand, MasterLink
from .output import Document, note
from .package_rebuild import rebuild
from .package_shell import shell
from .package_signing import COMMANDS as SIGNING_COMMANDS
from .submitted import ADVICE, SubmittedRequest, follow_all, submit_furl, told_requests

commands = Commands()

UNUSABLE = 2
"""The exit code when the submission cannot be used, as for flappclient."""
SECONDS_BETWEEN = 1.0
"""Between two questions whether the master has examined a source package that was made."""
_PIECE = 1 << 20
_MAKING = ("initialize", "checkout", "make_srpm", "prep")


class PackageCommand(FarmCommand):
    """
    A `FarmCommand` whose string is that of a target.
    """

    furlfile_help = "A file with the string of a target, to build without a master's directory.  Leave DIR out then."


@commands.group("package", short_help="Build packages.")
def package() -> None:
    """
    Build packages of Debian and RPM for the targets of a farm.
    """


for command in (*SIGNING_COMMANDS, rebuild, shell):
    package.add_command(command)


@package.command("build", cls=PackageCommand, short_help="Build a source package, and show its logs.")
@click.argument("words", metavar="[TARGET] FILE...|NAME", nargs=-1, required=True)
@click.option("--revision", metavar="REV", help="Of the git repository of the package NAME: a tag, branch or commit.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the builds.")
@click.option("--scratch", is_flag=True, help="Only to see whether it builds: the packages enter no repository.")
@click.option("--priority", type=int, metavar="N", help="Lower than that of others: -1, for example.")
def build(farm: FarmClient, words: tuple[str, ...], revision: str | None, no_wait: bool, **options: Any) -> Any:
    """
    Build a source package for each architecture that applies, and show the logs, each line after its builder's name.

    FILE is a .dsc, whose other files lie beside it, a source RPM, or a tar archive of all files.  The package is
    checked before it is sent.  With --revision, the farm makes the source package itself, from the git repository that
    master.cfg has for NAME; NAME may also be the address of a repository that is listed there.  The string is that of
    TARGET of the master in DIR, or the one in the file of --furlfile.

    The exit code is that of the worst build: 0 good, 1 failed, 2 exception, 4 cancelled or lost too often.  It is 2,
    too, if FILE is no package that can be built.
    """
    from ..wire.furl import read_furl

    chosen = {name: value for name, value in options.items() if value not in (None, False)}
    if farm.directory is None:
        furl, files = read_furl(farm.furlfile), words
    elif len(words) < 2:
        raise click.UsageError("Give TARGET and FILE, or --furlfile FILE and FILE.")
    else:
        furl, files = submit_furl(farm, words[0]), words[1:]
    try:
        described = _described(files, revision)
    except InputError as error:
        note(str(error))
        return UNUSABLE
    with described as file:
        try:
            return farm.connect(furl, lambda link: _built(link, file, chosen, wait=not no_wait))
        except KeyboardInterrupt:
            note(f"\n{ADVICE}")
            raise click.Abort from None


def _described(words: Sequence[str], revision: str | None) -> IO[bytes]:
    """
    The file to submit: a source package, which is told on standard error, or a request for *revision*.
    """
    if revision is not None:
        if len(words) != 1:
            raise click.UsageError("Give one NAME with --revision.")
        target = io.BytesIO(request_text(words[0], revision))
        read_request(target)
        return target
    file = submittable(words)
    try:
        found = examine_again(file)
    except BaseException:
        file.close()
        raise
    size = file.seek(0, os.SEEK_END)
    note(f"# {found.package}: {size} bytes")
    return file


def submittable(paths: Sequence[str]) -> IO[bytes]:
    """
    The file to submit for *paths*: one that is an archive or a source RPM itself; or a new archive of a .dsc, the files
    that it lists, and other files.  `InputError`, `FileError`.
    """
    if len(paths) == 1 and not paths[0].endswith(".dsc"):
        return _seekable(_opened(paths[0]))
    files = {os.path.realpath(path): path for path in paths}
    for path in paths:
        if path.endswith(".dsc"):
            with _opened_file(path) as dsc:
                listed = read_dsc(dsc.read(LARGEST_DSC)).files
            beside = [os.path.join(os.path.dirname(path), name) for name in listed]
            files.update({os.path.realpath(each): each for each in beside})
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path in files.values():
            with _opened_file(path) as file:
                member = tarfile.TarInfo(os.path.basename(path))
                member.size = os.fstat(file.fileno()).st_size
                archive.addfile(member, file)
    return target


def examine_again(file: IO[bytes]) -> SubmittedPackage:
    """
    The package in *file*, from its beginning, as the master will find it.
    """
    file.seek(0)
    # Examining an archive closes the file that it reads.
    with os.fdopen(os.dup(file.fileno()), "rb") as again:
        return examine(again)


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise FileError(sentence(error)) from None


def _opened_file(path: str) -> IO[bytes]:
    # A .dsc and what it lists is read more than once, and to open a pipe is to wait for its writer.
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path!r:.200} is no file.")
    return _opened(path)


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """
    *file*, or what a pipe contains, which is read once only.  `InputError` when that is more than is ever taken.
    """
    if file.seekable():
        return file
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        while piece := file.read(_PIECE):
            target.write(piece)
            if target.tell() > LARGEST_INPUT:
                target.close()
                raise InputError(f"The package has more than {LARGEST_INPUT} bytes.")
    return target


async def _built(link: MasterLink, file: IO[bytes], options: Document, *, wait: bool) -> int:
    async with AsyncExitStack() as submitting:
        requests = told_requests(await submitting.enter_async_context(link.submit_file(file, options)))
        if not wait:
            return 0
        code = await follow_all(link, requests)
        if code == 0 and isinstance(file, io.BytesIO):
            return await _packages_built(link, requests[0])
        return code


async def _packages_built(link: MasterLink, source: SubmittedRequest) -> int:
    """
    Follow the builds of the source package that *source* has made; returns the exit code.
    """
    while (job := (await link.ask({"ask": "package-show", "request": source.number}))["job"])["state"] in _MAKING:
        await link.pause(SECONDS_BETWEEN)
    builds = [each for each in job["arches"] if each["request"] is not None and each["request"] != source.number]
    if not builds:
        raise InputError(f"Job {job['job']} is {job['state']}: {job['reason']}")
    note(f"# {printable(job['name'])} {printable(job['version'])}, of commit {printable(job['origin']['commit'])}")
    for each in job["arches"]:
        if each["state"] == "skipped":
            note(f"# not built for {printable(each['architecture'])}: {printable(each['reason'])}")
    return await follow_all(link, [SubmittedRequest(each["request"], each["builder"], source.watch) for each in builds])
