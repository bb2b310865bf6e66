"""
The files in which people find FURLs.

``buildslave.furls`` and ``submit.furls`` have a line ``NAME FURL`` each; ``furls/NAME.furl`` has one FURL and a word
on what it is, for ``--furlfile``.  A file is written if its content changed, whole or not at all, and only its owner
can read it from the first moment on.
"""

import os
from collections.abc import Mapping
from contextlib import suppress

from ...errors import StorageError
from ...storage.files import (
    make_directory,
    read_regular,
    remove,
    write_whole,
)

SLAVES = "buildslave.furls"
SUBMISSIONS = "submit.furls"
DIRECTORY = "furls"
SUFFIX = ".furl"

_HEADS = {
    SLAVES: "# One line for each slave: its name, and the one string that it needs.\n"
    "# On the slave's machine: buildbot-lite create-slave DIRECTORY -    (and paste the string)\n",
    SUBMISSIONS: "# One line for each Submit scheduler: its name, and the string that asks it for a build.\n"
    "# Anywhere: flappclient --furlfile furls/NAME.furl run-command    (or: upload-file FILE)\n",
}


class FurlFiles:
    """
    The files in the farm's directory *basedir*.
    """

    def __init__(self, basedir: str) -> None:
        self._basedir = basedir

    def publish(self, slaves: Mapping[str, str], submissions: Mapping[str, str]) -> None:
        """
        Write the files for these FURLs, by name; unchanged files are not touched, files of other names are removed.
        """
        make_directory(os.path.join(self._basedir, DIRECTORY))
        for file, strings in ((SLAVES, slaves), (SUBMISSIONS, submissions)):
            lines = "".join(f"{name} {furl}\n" for name, furl in strings.items())
            self._write(file, _HEADS[file] + lines)
        contents = {
            **{f"{name}{SUFFIX}": f"# slave {name}\n{furl}\n" for name, furl in slaves.items()},
            **{f"{name}{SUFFIX}": f"# submission {name}\n{furl}\n" for name, furl in submissions.items()},
        }
        for name, text in contents.items():
            self._write(os.path.join(DIRECTORY, name), text)
        for name in os.listdir(os.path.join(self._basedir, DIRECTORY)):
            if name.endswith(SUFFIX) and not name.startswith(".") and name not in contents:
                remove(os.path.join(self._basedir, DIRECTORY, name))

    def publish_private(self, name: str, furl: str) -> None:
        """
        Write a FURL for the admin to ``private/NAME.furl``.
        """
        make_directory(os.path.join(self._basedir, "private"))
        self._write(os.path.join("private", f"{name}{SUFFIX}"), f"# {name}\n{furl}\n")

    def _write(self, name: str, text: str) -> None:
        write_changed(os.path.join(self._basedir, name), text)


def write_changed(path: str, text: str) -> None:
    """
    Write *text* to the file *path*, unless that is its content.
    """
    contents = text.encode()
    try:
        if read_regular(path, len(contents) + 1) == contents:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}.") from None
    write_whole(path, contents)


def replace_changed(path: str, text: str) -> None:
    """
    The same in a directory of another process: whatever else is at *path*, like a link or a FIFO, is replaced.
    `FileError` if the directory is a link: that process must not choose where the master writes.
    """
    contents = text.encode()
    with suppress(OSError):
        if read_regular(path, len(contents) + 1, follow=False) == contents:
            return
    write_whole(path, contents, follow=False)
