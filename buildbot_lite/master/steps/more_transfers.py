"""
Transfers that are made of other transfers: several files in one step, and JSON files.
"""

import json
from posixpath import basename, normpath
from typing import Any, ClassVar

from ...model import spec
from ...model.outcome import Ending
from ...model.results import Result
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument, ignored
from .outcomes import complaint_of, result_of
from .transfer import ArtifactUpload, StringDownload, archive_name

__all__ = ["JSONPropertiesDownload", "JSONStringDownload", "MultipleFileUpload"]

_MOST_FILES = 10_000
# One name on each line, since the list is in the step's log; that of a directory ends with a slash.  With "glob", the
# shell expands the names.  An empty IFS: blanks do not divide a name.
_LIST = """\
how=$1; shift
newline='
'
list() {
    case $1 in *"$newline"*) echo "the name of a file has a line break in it" >&2; exit 1;; esac
    if [ -d "$1" ]; then printf '%s/\\n' "${1#./}"
    elif [ -e "$1" ]; then printf '%s\\n' "${1#./}"
    elif [ "$how" = plain ]; then echo "$1 does not exist" >&2; exit 1
    fi
}
IFS=
[ "$how" = glob ] || set -f
for each; do for name in $each; do list "$name"; done; done
"""


def _sources(checker: ArgumentChecker, name: str, value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not values:
        checker.wrong(name, value, "a list of paths")
        return []
    return [checks.path(checker, f"each of {name}", each) for each in values]


class MultipleFileUpload(ArtifactUpload):
    """
    Upload several files and directories of the slave to the master, as artifacts.

    *slavesrcs* (or *workersrcs*): their paths, relative to *workdir*; at most 10000 files and directories.  *glob*:
    the paths are patterns of the shell, with ``*``, ``?`` and ``[…]``; default False.
    *masterdest*: the directory of the artifacts.  The name of each in it is the last part of its path; a directory
    becomes a tar archive.  Nothing is sent if two would have the same name.  As for `FileUpload` and
    `DirectoryUpload`, it may be another directory on the master; *mode*: the permission bits of files there.
    *workdir*: relative to the builder's directory, default "build".
    *maxsize*: the largest size of each, in bytes; default None: no limit.
    *url*, *urlText*: as for `FileUpload`; one link for the step.

    Without effect: *blocksize*, *compress* and *keepstamp*.
    """

    name = "multiple_file_upload"
    slavesrcs = argument(_sources, positional=True, aliases=("workersrcs",))
    masterdest = argument(checks.destination_directory, positional=True)
    maxsize = argument(checks.whole, default=None)
    glob = argument(checks.flag, default=False)
    mode = argument(checks.anything, default=None)
    blocksize = ignored()
    compress = ignored()
    keepstamp = ignored()

    async def run(self) -> Result:
        how = "glob" if self.glob else "plain"
        words = ["/bin/sh", "-c", _LIST, "list-files", how, *(f"./{each}" for each in self.slavesrcs)]
        listed = await self.execute(words, workdir=self.workdir)
        result, self.summary = result_of(listed.outcome, self.slave_name)
        if result is not Result.SUCCESS:
            said = complaint_of(listed) if listed.outcome.ending is Ending.EXITED else ""
            return self.fail(said or self.summary, result)
        lines = dict.fromkeys(each for each in listed.output(limit=16 << 20).split("\n") if each)
        if len(lines) > _MOST_FILES:
            return self.fail(f"There are {len(lines)} files; this step sends at most {_MOST_FILES}.")
        asked = {normpath(each) for each in self.slavesrcs}
        if not self.glob and (others := [each for each in lines if normpath(each) not in asked]):
            return self.fail(f"{self.slave_name} lists {others[0]!r:.200}, which is not among the slavesrcs.")
        paths: dict[str, str] = {}
        for artifact, path in (self._artifact_and_path(each) for each in lines):
            if paths.setdefault(artifact, path) != path:
                return self.fail(
                    f"{paths[artifact]!r:.200} and {path!r:.200} would both be the artifact {artifact!r:.200}, so"
                    " nothing was sent.  Send them in two steps with different masterdest, or send their directory."
                )
        for artifact, path in paths.items():
            result = await self._send(artifact, path)
            if result is not Result.SUCCESS:
                return result
        if self.url:
            self.addURL(self.urlText or basename(self.masterdest), self.url)
        self.summary = f"{len(paths)} {'file' if len(paths) == 1 else 'files'} sent"
        return Result.SUCCESS

    def _artifact_and_path(self, line: str) -> tuple[str, str]:
        # The names come from the slave, so they are checked again.
        checker = ArgumentChecker(self.name)
        path = checks.path(checker, "the name of a file", normpath(line))
        destination = checks.destination(checker, "the name of an artifact", f"{self.masterdest}/{basename(path)}")
        return (archive_name(destination), f"{path}/") if line.endswith("/") else (destination, path)

    async def _send(self, destination: str, path: str) -> Result:
        if not path.endswith("/"):
            return await self.store(spec.Upload(self.on_slave(path), self.maxsize), destination)
        path = path.rstrip("/")
        what = spec.UploadDirectory(self.on_slave(path), self.maxsize)
        return await self.store(what, f"{self.masterdest}/{basename(path)}")


class JSONStringDownload(StringDownload):
    """
    Write a value as JSON to a file on the slave.

    *o*: the value.  The other arguments are those of `StringDownload`, without *s*.
    """

    name = "json_download"
    positional: ClassVar[Any] = ("o", "slavedest")
    s = argument(checks.text, default=None)
    o = argument(checks.anything, nullable=True, positional=True)

    async def run(self) -> Result:
        self.s = json.dumps(self.value(), ensure_ascii=False)
        return await super().run()

    def value(self) -> Any:
        """
        The value that is written.
        """
        return self.o


class JSONPropertiesDownload(JSONStringDownload):
    """
    Write the build's properties and sources as JSON to a file on the slave: ``{"properties": {name: value},
    "sourcestamps": [{"codebase": …, "branch": …}]}``.

    The arguments are those of `StringDownload`, without *s*.
    """

    name = "json_properties_download"
    positional: ClassVar[Any] = ("slavedest",)
    o = argument(checks.anything, default=None)

    def value(self) -> Any:
        view = self.bench.view
        stamps = [{"codebase": codebase, **stamp} for codebase, stamp in view.sources.items()]
        return {"properties": view.properties.values(), "sourcestamps": stamps}
