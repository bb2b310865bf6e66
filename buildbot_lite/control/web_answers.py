"""
Answers to the questions of the web process, which shows the farm: what master.cfg says about the pages, and who asks.

The answers have no field around them: the whole answer is the document.
"""

import os
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from ..errors import RefusedError, RevokedError
from ..master.farm import Farm
from ..master.grants.verbs import CONTROL, FARM, WATCH
from ..master.grants.web_furls import DIRECTORY
from ..model.json_reader import JsonReader
from ..status import force_forms
from ..storage.files import read_regular
from ..storage.records.grants import BESIDE_MASTER, ELSEWHERE, WEB_PAGES, Grant, GrantLimits
from ..wire.endpoint import Endpoint
from .web_codes import LONGEST_CODE, SESSION, VALID_FOR, WebCodes
from .web_sessions import ends_with, is_session, session_label, session_name

Answer = Mapping[str, Any]

MOST_SLAVES = 50
"""Slaves of each builder that are named to the web process; of those with more, see `SlavePools`."""
MOST_IN_POOLS = 50_000
"""Numbers of slaves in all pools together."""

FIRST_PORT = 8010
"""The port of the pages where none was chosen and none is known."""
LONGEST_LABEL = 80
LONGEST_ADDRESS = 60
_ADDRESS = re.compile(r"http://[0-9a-zA-Z.:\[\]-]{1,100}/\n?\Z")


@runtime_checkable
class PublishingExtension(Protocol):
    """
    An extension of the farm with files for everybody, which the web process serves below ``/repositories/NAME/``.
    """

    def published(self) -> Mapping[str, str]:
        """
        The absolute paths of directories, by name: what is served of each is the tree to which its symlink ``public``
        leads.
        """

    def keys(self) -> Mapping[str, str]:
        """
        The public keys, in ASCII armor, with which the files of some of them are signed, by name.  Blocks.
        """


@frozen
class WebAnswers:
    """
    Answers about *farm* for the holder of the grant *by_grant*, who may ask the questions *may* (None: all).
    *codes*: those that can be redeemed, shared by all.
    """

    farm: Farm
    may: Collection[str] | None
    by_grant: int | None
    codes: WebCodes

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, each with the method that answers it.
        """
        return {
            "www": self._www,
            "me": self._me,
            "web-code": self._code,
            "redeem": self._redeem,
            "sign-out": self._sign_out,
            "end-sessions": self._end_sessions,
            "force-forms": self._force_forms,
        }

    async def _www(self, question: JsonReader) -> Answer:
        """
        What the pages need to know before they are asked for: where the farm's files are, and what the configuration
        names.  It is the same until another configuration is applied.
        """
        config = self.farm.config
        slaves, pools = sorted(config.slaves), SlavePools(sorted(config.slaves))
        places = self._places(await self.farm.in_thread(self._keys)) if self._is_web_process() else {}
        return {
            **places,
            "slaves": slaves,
            "title": config.title,
            "url": config.buildbot_url,
            "port": config.www.port,
            "private": config.www.private,
            "proxies": list(config.www.trusted_proxies),
            "builders": [
                {
                    "builder": builder.name,
                    "description": builder.description or "",
                    "tags": list(builder.tags),
                    "slaves": list(builder.slavenames[:MOST_SLAVES]),
                    **pools.told(builder.slavenames),
                }
                for builder in config.builders.values()
            ],
            "pools": pools.numbers,
        }

    def _is_web_process(self) -> bool:
        return self.by_grant is not None and _is_of_pages(self._grant())

    def _publishing(self) -> list[PublishingExtension]:
        return [each for each in self.farm.extensions.values() if isinstance(each, PublishingExtension)]

    def _keys(self) -> dict[str, str]:
        return {name: key for each in self._publishing() for name, key in each.keys().items()}

    def _places(self, keys: Mapping[str, str]) -> Answer:
        """
        Paths of this machine, which concern the farm's own web process alone.
        """
        storage = self.farm.stream_storage
        return {
            "database": self.farm.config.database_in(self.farm.basedir),
            "streams": os.path.abspath(storage.streams),
            "artifacts": os.path.abspath(storage.artifacts),
            "repositories": {name: path for each in self._publishing() for name, path in each.published().items()},
            "keys": dict(keys),
        }

    async def _me(self, question: JsonReader) -> Answer:
        """
        The grant with which the client asks: so a program that passes questions on learns when the grant ends.
        """
        grant = self._grant()
        return {
            "grant": grant.id,
            "verb": grant.verb,
            "label": grant.label,
            "expires": grant.expires,
            "may": None if self.may is None else sorted(self.may),
        }

    async def _code(self, question: JsonReader) -> Answer:
        """
        A code for a control string, and the address where it is redeemed.
        """
        lasts = question.number("lasts", SESSION)
        if lasts <= 0:
            raise RefusedError("--expires is in the past: the string would never be valid.")
        if lasts > SESSION:
            raise RefusedError(
                f"A browser's session lasts at most {SESSION / 3600:.0f} hours: give a shorter --expires."
            )
        label = question.prose("label", "", limit=LONGEST_LABEL)
        code = self.codes.issue(label=label, lasts=lasts, by=self.by_grant)
        return {"code": code, "address": self._address(), "valid": VALID_FOR, "lasts": lasts}

    async def _redeem(self, question: JsonReader) -> Answer:
        """
        The FURL that the code becomes: only for the web process, which keeps it in memory.
        """
        opener = self._of_pages("redeems codes")
        code = question.text("code", limit=LONGEST_CODE)
        origin = question.prose("from", "", limit=LONGEST_ADDRESS)
        now = self.farm.wall()
        with self.codes.redeeming(code) as terms:
            name, label = session_name(opener.id), session_label(terms, origin, now)
            limits = GrantLimits(expires=now + terms.lasts)
            grant = await self.farm.grants.hand_out(CONTROL, FARM, name=name, label=label, limits=limits)
        return {
            "furl": self.farm.furls.nearby_furl(grant),
            "grant": grant.id,
            "label": grant.label,
            "expires": grant.expires,
            "code_valid": self.codes.left(terms),
        }

    async def _end_sessions(self, question: JsonReader) -> Answer:
        """
        Revoke the strings that codes became: only for the web process, which has kept them and does not any more.
        """
        opener = self._of_pages("ends sessions")
        found = [
            each for each in self.farm.grants.all_of(CONTROL, FARM) if ends_with(each, opener.id, self._is_in_force)
        ]
        for each in found:
            with suppress(RevokedError):
                await self.farm.revocation.revoke(each)
        return {"ended": len(found)}

    def _of_pages(self, does: str) -> Grant:
        """
        The grant of the web process that asks; `RefusedError` if somebody else does.
        """
        own = self._grant()
        if not _is_of_pages(own):
            raise RefusedError(
                f"Only the web process {does}.  For a string for one that is not beside the master: "
                "buildbot-lite grant watch --web"
            )
        return own

    def _is_in_force(self, grant: int) -> bool:
        try:
            self.farm.grants.in_force(grant)
        except RevokedError:
            return False
        return True

    async def _force_forms(self, question: JsonReader) -> Answer:
        """
        What a page asks of somebody who forces a build of a builder.
        """
        return {"forms": force_forms.forms_of(self.farm, question.text("builder", limit=200))}

    async def _sign_out(self, question: JsonReader) -> Answer:
        """
        Revoke the string with which this is asked, if a code became it.
        """
        grant = self._grant()
        if not is_session(grant):
            raise RefusedError("Only the string of a browser's session ends itself.  For others: buildbot-lite revoke")
        # The answer travels on the link that is cut then.
        self.farm.revocation.revoke_after_answer(grant)
        return {"grant": grant.id}

    def _grant(self) -> Grant:
        if self.by_grant is None:
            raise RefusedError("This connection has no string.")
        return self.farm.grants.in_force(self.by_grant)

    def _address(self) -> str:
        """
        The address of the pages: as configured, as the web process beside the master has written it, or the default.
        """
        config = self.farm.config
        if config.buildbot_url is not None:
            return config.buildbot_url
        path = os.path.join(self.farm.basedir, DIRECTORY, "address")
        # The web process may have put anything there.
        with suppress(OSError, UnicodeDecodeError):
            if _ADDRESS.match(address := read_regular(path, 200, follow=False).decode("ascii")):
                return address.strip()
        port = config.www.port
        if isinstance(port, str) and (endpoint := Endpoint.parse(port)) is not None:
            return f"http://{endpoint.local_host}:{endpoint.port}/"
        return f"http://127.0.0.1:{port or FIRST_PORT}/"


class SlavePools:
    """
    The slaves of builders with very many: each different set once, as places in the list *slaves* of all names.
    """

    def __init__(self, slaves: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(slaves)}
        self._known: dict[frozenset[str], int | None] = {}
        self.numbers: list[list[int]] = []

    def told(self, names: Sequence[str]) -> Mapping[str, int | None]:
        """
        The place of the set *names* among *numbers*, as the field "pool", if they are more than `MOST_SLAVES`; None
        where there is no room for it.
        """
        if len(names) <= MOST_SLAVES:
            return {}
        key = frozenset(names)
        if key not in self._known:
            fits = sum(map(len, self.numbers)) + len(key) <= MOST_IN_POOLS
            self._known[key] = len(self.numbers) if fits else None
            if fits:
                self.numbers.append(sorted(self._places[name] for name in key))
        return {"pool": self._known[key]}


def _is_of_pages(grant: Grant) -> bool:
    """
    Whether *grant* is that of a web process.  The master alone gives a string to watch the farm this label; earlier
    versions did not see to that, and had no name for those that are elsewhere.
    """
    is_named = grant.name in {BESIDE_MASTER, ELSEWHERE, FARM}
    return is_named and (grant.verb, grant.object, grant.label) == (WATCH, FARM, WEB_PAGES)
