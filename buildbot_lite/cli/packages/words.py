"""
The words after TARGET of ``package build``: files, or a revision in git.

::

    FILE…        files that exist, or whose names say that they should
    TAG          one word, of the target's only repository
    NAME TAG     two words, of the repository of the package NAME

A tag and a misspelt file look alike, and a job of a misspelling would fail only after a checkout.  So what could be
the name of a file is no tag without ``--revision``.
"""

import itertools
import os
import re
from collections.abc import Sequence
from typing import Any

import click
from attrs import frozen

from ...errors import FileError
from ...model.suggestions import nearest

MOST_LOOKED_AT = 10_000
"""Entries of a directory among which a similar name is looked for."""

_OF_FILES = (".dsc", ".changes", ".deb", ".rpm", ".tar", ".gz", ".xz", ".bz2", ".zst", ".tgz", ".txz")
_A_PATH = ("/", "./", "../", "~")
_ADDRESS = re.compile(r"[a-z]+://|[^/@]+@[^/]+:")
# Of letters only: "1.0.3" and "v2.0~rc1" have none.
_EXTENSION = re.compile(r"\.[A-Za-z]{1,4}\Z")


class JobNumber(click.IntRange):
    """
    The type of the number of a job, which refuses other words with a sentence about jobs.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r:.100} is no number of a job.  To see them: buildbot-lite package list", param, ctx)


@frozen
class AskedRevision:
    """
    A *revision* of *source*, the name of a package or the address of its repository; "": the target's only one.
    *reading*: the beginning of the sentence about a refusal, where the words could have meant files; else "".
    """

    source: str
    revision: str
    reading: str = ""


def asked_revision(words: Sequence[str], revision: str | None) -> AskedRevision | None:
    """
    The revision that *words* ask for, or the option *revision*; None when they are files.  `FileError` when they could
    be either.
    """
    if revision is not None:
        if len(words) > 1:
            raise click.UsageError("Give one NAME with --revision, or none.")
        return AskedRevision("".join(words), revision)
    if not words or len(words) > 2 or os.path.exists(words[-1]) or _is_of_a_file(words[-1]):
        return None
    *source, tag = words
    for name in source:
        # A checkout may be in a directory with the name of its package.
        if os.path.isfile(name) or _is_of_a_file(name):
            return None
    for word in words:
        if not _ADDRESS.match(word):
            _check_no_misspelling(word)
    return AskedRevision("".join(source), tag, f"{tag!r:.200} is no file, and was taken for a tag in git: ")


def _is_of_a_file(word: str) -> bool:
    return not word or word.endswith(_OF_FILES) or word.startswith(_A_PATH)


def _check_no_misspelling(word: str) -> None:
    directory, name = os.path.split(word)
    try:
        with os.scandir(directory or os.curdir) as entries:
            names = [each.name for each in itertools.islice(entries, MOST_LOOKED_AT)]
    except OSError:
        names = []
    similar = nearest(name, [each for each in names if each.endswith(_OF_FILES)])
    if similar is None and not _EXTENSION.search(name):
        return
    meant = f"  Did you mean {os.path.join(directory, similar)!r:.300}?" if similar else ""
    raise FileError(f"{word!r:.200} is no file.{meant}  If it is a tag in git, give it with --revision.")
