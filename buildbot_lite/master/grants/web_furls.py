"""
The FURLs of the web process beside the master: ``web/private/watch.furl`` and ``web/private/webhooks.furl``.

::

    web/web.tac gives none ─► a grant of each kind called `BESIDE_MASTER`, made once ──────► its file
    revoked ───────────────► the file goes; only `WebFurls.rotate` makes another

A web process whose web.tac gives it a string gets none: its admin has decided what it may do.  (Those of the first
versions take webhooks alone, also in the master's directory.)  The file is read as text, for its owner could write
anything into it.

The web process knows nothing else of the master's, and so may run as another user.  The grants have the label
`WEB_PAGES`, and are ordinary ones, which an admin can list and revoke; one for a web process in another directory, or
on another machine, is handed out (``grant watch --web``), has that label, too, and another name.
"""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from twisted.logger import Logger

from ...deferreds import CoroutineLock
from ...errors import LostStringError, NotFoundError, StorageError
from ...storage.files import make_directory, read_regular, remove
from ...storage.records import grants as records_of_grants
from ...storage.records.grants import BESIDE_MASTER, SESSION_OF, WEB_PAGES, Grant
from ...storage.roles import Records
from .furl_files import SUFFIX, replace_changed
from .registry import GrantRegistry
from .verbs import CHANGE, CONTROL, FARM, WATCH, WEBHOOKS

DIRECTORY = "web"
"""The web process's directory, in the master's."""
TAC = "web.tac"
LARGEST_TAC = 1 << 16
"""Bytes of a web.tac that is looked at."""
LARGEST_FILE = 1 << 12
"""The same of a file with a string."""
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_CALL = re.compile(r"\bapplication_for\(\s*(?:\)|(?:watch|farm|port|basedir)\s*=)")
# Whoever names the farm's directory wants its pages.
_WITH_FARM = re.compile(r"\bapplication_for\([^#]*\bfarm\s*=")
_WITH_STRING = re.compile(r"\bwebhooks\s*=")
_KINDS = {"watch": (WATCH, FARM), WEBHOOKS: (CHANGE, WEBHOOKS)}


def sessions_of(grants: GrantRegistry, openers: Sequence[Grant]) -> list[Grant]:
    """
    The grants among *grants* of the sessions in browsers that began with the strings of web processes *openers*.
    """
    names = {f"{SESSION_OF}{each.id}" for each in openers if (each.verb, each.object) == (WATCH, FARM)}
    return [each for each in grants.all_of(CONTROL, FARM) if each.name in names]


class WebFurls:
    """
    Keeps the files in *basedir* up to date.  *furl*: makes the FURL of a grant, as for clients on this machine.
    """

    _log = Logger()

    def __init__(self, basedir: str, *, grants: GrantRegistry, records: Records, furl: Callable[[Grant], str]) -> None:
        self._directory = os.path.join(basedir, DIRECTORY)
        self._grants = grants
        self._records = records
        self._furl = furl
        # Two at a time would both find that there is no grant.
        self._lock = CoroutineLock()

    async def publish(self) -> None:
        """
        Write the files whose contents changed, after creating the grants that were never made.
        """
        if not self._is_there():
            return
        async with self._lock:
            for name, (verb, object_) in _KINDS.items():
                grant = self._newest(name, verb, object_)
                if grant is None and not await self._records.read(
                    partial(records_of_grants.had_for_pages, verb=verb, object=object_)
                ):
                    grant = await self._make(verb, object_)
                self._warn_of_others(grant)
                try:
                    await self._write(name, grant)
                except (StorageError, OSError) as error:
                    # The master works without its pages.
                    self._log.error("the web process gets no string: {why}", why=str(error))

    async def rotate(self) -> list[Grant]:
        """
        Make other grants, write their files, and revoke the earlier ones, which it returns: also those that were handed
        out with the label.  An earlier one stays if its file cannot be written: `StorageError`.  `NotFoundError`
        if there is no web process that gets them from here.
        """
        if not self._is_there():
            raise NotFoundError(
                f"There is no {DIRECTORY}/{TAC} in the master's directory, or it gives a string itself: so there are "
                "no strings to replace."
            )
        revoked: list[Grant] = []
        async with self._lock:
            for name, (verb, object_) in _KINDS.items():
                old, own = self._all(verb, object_), self._newest(name, verb, object_)
                new = await self._make(verb, object_)
                try:
                    await self._write(name, new)
                except BaseException:
                    await self._grants.revoke(new)
                    raise
                # Of several, an earlier call was interrupted before it renamed the sessions of the first.
                openers = [each for each in old if each.name == BESIDE_MASTER or each == own]
                others = [each for each in old if each not in openers]
                kept, ended = sessions_of(self._grants, openers), sessions_of(self._grants, others)
                # The sessions of this web process go on, and another one would take them for nobody's.
                await self._grants.replace([*old, *ended], kept, f"{SESSION_OF}{new.id}")
                revoked += [*old, *ended]
        return revoked

    def _is_there(self) -> bool:
        path = os.path.join(self._directory, TAC)
        try:
            text = _COMMENT.sub("", read_regular(path, LARGEST_TAC).decode("utf-8", "replace"))
        except FileNotFoundError:
            return False
        except OSError as error:
            self._log.error(
                "the web process gets no string, because {path} cannot be read: {why}", path=path, why=str(error)
            )
            return False
        alone = _CALL.search(text) is None or _WITH_STRING.search(text) is not None
        return not alone or _WITH_FARM.search(text) is not None

    async def _make(self, verb: str, object_: str) -> Grant:
        return await self._grants.hand_out(verb, object_, name=BESIDE_MASTER, label=WEB_PAGES)

    def _all(self, verb: str, object_: str) -> list[Grant]:
        return [each for each in self._grants.all_of(verb, object_) if each.label == WEB_PAGES]

    def _newest(self, name: str, verb: str, object_: str) -> Grant | None:
        """
        The grant of the web process beside the master.  Anybody may hand one out with the label, so the name counts, or
        for those of masters of the first version what is in the file.
        """
        lasting = [each for each in self._all(verb, object_) if each.expires is None and each.uses_allowed is None]
        own = [each for each in lasting if each.name == BESIDE_MASTER]
        own = own or [each for each in lasting if self._is_in_file(name, each)]
        return max(own, key=lambda grant: grant.id, default=None)

    def _is_in_file(self, name: str, grant: Grant) -> bool:
        with suppress(OSError, LostStringError):
            # Of the addresses before it, the file may have earlier ones.
            swissnum = self._furl(grant).rpartition("/")[2]
            return swissnum.encode() in read_regular(self._path(name), LARGEST_FILE, follow=False)
        return False

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, "private", f"{name}{SUFFIX}")

    async def _write(self, name: str, grant: Grant | None) -> None:
        path = self._path(name)
        if grant is None:
            self._remove(path)
        else:
            self._put(path, await self._shown(grant))

    def _warn_of_others(self, grant: Grant | None) -> None:
        """
        Of several strings, which `rotate` leaves if it is interrupted, nobody but the admin knows which are in use.
        """
        others = [] if grant is None else [each for each in self._all(grant.verb, grant.object) if each.id != grant.id]
        if grant is not None and others:
            self._log.warn(
                "beside string #{id} of the web process, {others} with the label '{label}' can be used.  If no web "
                "process on another machine has them: buildbot-lite revoke NUMBER",
                id=grant.id,
                others=", ".join(f"#{each.id}" for each in others)[:200],
                label=WEB_PAGES,
            )

    async def _shown(self, grant: Grant) -> str:
        try:
            return self._furl(grant)
        except LostStringError:
            # It cannot be shown any more, and only the web process has it.
            await self._grants.revoke(grant)
            return self._furl(await self._make(grant.verb, grant.object))

    def _put(self, path: str, furl: str) -> None:
        make_directory(os.path.dirname(path))
        replace_changed(path, f"# {WEB_PAGES}\n{furl}\n")

    def _remove(self, path: str) -> None:
        if os.path.lexists(path):
            remove(path, follow=False)
            self._log.warn(
                "{file} is removed, because its string was revoked.  For another: buildbot-lite rotate '{label}'",
                file=path,
                label=WEB_PAGES,
            )
