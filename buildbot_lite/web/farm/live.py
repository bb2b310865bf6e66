"""
What only the running master knows: which slaves are here, what waits and why, what the configuration says.

::

    pages ──► Live ──── ask ────► the master        at most once in `FRESH` seconds for each question, even if it fails
                └── kept answers ◄──┘               while the master is away, the last ones go on being shown

Answers are kept whether or not the master is there, so pages show what was, and say since when.

Nobody waits for the next answer as long as the last one still holds: while the master has told no news since it was
asked, and for `HOLDS` seconds.  (An answer about a thousand slaves takes 40 ms, and all would wait who come meanwhile.)

A master that is linked and does not answer, because it hangs or its machine does, counts as away: after the first who
waited for it (`master_watch.PATIENCE`), nobody waits, and with its first answer it is here again.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from ...deferreds import Listeners, SharedWork
from ...errors import (
    BuildbotLiteError,
    DefectError,
    LimitError,
    LinkLostError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
)

Document = Mapping[str, Any]

FRESH = 1.0
"""Seconds for which an answer is shown again, and the master is not asked again after an error."""
HOLDS = 2.0
"""Seconds for which an answer of a farm without news is shown while the next one is awaited."""
MOST_FRESH = 60.0
"""The same for what hardly ever changes."""
MOST_AGE = 3600.0
"""Seconds after which an answer of a master that is away is no longer shown."""
_WWW = "www"
"""
The question whose answer says who may read.  While the master is away it holds for however long: without it, a farm for
everybody would be taken for a private one.  But a master that is here and fails to answer it may have made the farm
private, so it counts as private until there is an answer.
"""


class AnsweringMaster(Protocol):
    """
    The link over the watch FURL.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        """
        Fires with the answer; fails with a `BuildbotLiteError` when there is none, after a bounded time.
        """


@define(eq=False)
class _LastAnswer:
    """
    *version*: of the farm when the question was asked.  *failed*: when the master last failed to answer it.
    """

    at: float = float("-inf")
    document: Document | None = None
    version: int = -1
    failed: float = float("-inf")


@define(eq=False)
class Live:
    """
    Answers of the master over *link*, kept for `FRESH` seconds.  *clock*: monotonic seconds.  *wall*: seconds since
    1970.
    """

    link: AnsweringMaster
    clock: Callable[[], float]
    wall: Callable[[], float]
    away_since: float | None = None
    """Since when (seconds since 1970) the master does not answer; None: it does."""
    version: int = 0
    """Moves when an answer may be another than before."""
    _kept: dict[str, _LastAnswer] = field(factory=dict)
    _asking: SharedWork[str, Document] = field(factory=SharedWork)
    _on_private: Listeners[None] = field(factory=lambda: Listeners("a listener to the farm's becoming private"))
    _on_link: Listeners[None] = field(factory=lambda: Listeners("a listener to the master's coming and going"))

    def on_link(self, listener: Callable[[None], object]) -> Callable[[], None]:
        """
        Call *listener* when the master went away or is here again.  Returns a function that ends this.
        """
        return self._on_link.add(listener)

    def on_private(self, listener: Callable[[None], object]) -> Callable[[], None]:
        """
        Call *listener* when the farm has become private, and readers without a grant must be cut.  Returns a function
        that ends this.
        """
        return self._on_private.add(listener)

    def know(self, question: str, document: Document) -> None:
        """
        *document* was the answer to *question* when this process ran last.
        """
        self._kept[question] = _LastAnswer(self.clock() - FRESH, document)

    def changed(self) -> None:
        """
        The master said that something changed: pages are made anew, from answers that are up to `FRESH` seconds old.

        (A busy farm changes ten times a second, and an answer about a thousand slaves takes the master some
        milliseconds.)
        """
        self.version += 1

    def expire(self) -> None:
        """
        Something was changed by somebody who looks at what comes of it: every question is asked again.
        """
        self.version += 1
        for kept in self._kept.values():
            kept.at, kept.failed = min(kept.at, self.clock() - MOST_FRESH), float("-inf")

    def is_here(self) -> None:
        """
        The link is there, or the master answers again.
        """
        self.away_since = None
        self.expire()
        self._on_link.tell(None)

    def is_away(self) -> None:
        """
        The link is lost, or could not be made, or the master has not answered for long.
        """
        if self.away_since is None:
            self.away_since = self.wall()
            self.version += 1
            self._on_link.tell(None)

    async def is_private(self) -> bool:
        """
        Whether only holders of grants may read the farm's pages: also while nobody knows.
        """
        return is_private(await self.answer(_WWW))

    def fresh(self, question: str, fresh: float = FRESH) -> Document | None:
        """
        The last answer to *question*, if it is less than *fresh* seconds old: then there is nothing to wait for.
        """
        kept = self._kept.get(question)
        return kept.document if kept is not None and self.clock() - kept.at < fresh else None

    async def answer(self, question: str, fresh: float = FRESH) -> Document:
        """
        The master's answer to *question*, at most *fresh* seconds old, or the last one while it is away; an empty
        document if there is none.  An answer that still holds may be up to `HOLDS` seconds old.
        """
        if (known := self.fresh(question, fresh)) is not None:
            return known
        kept = self._kept.setdefault(question, _LastAnswer())
        age = self.clock() - kept.at
        if self.clock() - kept.failed < min(fresh, FRESH):
            return kept.document or {}
        still_holds = kept.document if fresh and age < HOLDS and kept.version == self.version else None
        asking = self._asking.begun(question, lambda: self._ask(question, kept))
        if not asking.fired:
            if still_holds is not None:
                return still_holds
            if self.away_since is not None:
                # It is linked, and has not answered for long: nobody else waits until it does.
                return kept.document or {}
        return await asking.wait()

    def last(self, question: str) -> Document:
        """
        The last answer to *question*, however old, without asking for another; an empty document if there is none.
        """
        kept = self._kept.get(question)
        return {} if kept is None else kept.document or {}

    async def _ask(self, question: str, kept: _LastAnswer) -> Document:
        version = self.version
        was_for_all = not is_private(kept.document or {})
        try:
            kept.document = _unwrapped(question, await self.link.ask({"ask": question}))
            kept.at, kept.version = self.clock(), version
            if self.away_since is not None:
                self.is_here()
        except NoAnswerError:
            self.is_away()
        except BuildbotLiteError as error:
            if _is_refusal(error):
                kept.document, kept.at, kept.version = {}, self.clock(), version
            else:
                self._failed(question, kept, error)
        if question != _WWW:
            if self.clock() - kept.at > MOST_AGE:
                kept.document = None
        elif was_for_all and is_private(kept.document or {}):
            self._on_private.tell(None)
        return kept.document or {}

    def _failed(self, question: str, kept: _LastAnswer, error: BuildbotLiteError) -> None:
        """
        The master answered *question* with an *error* that is no refusal: what was known stays known, except whether
        the farm is private, which is assumed from now on.  (Not if the link was lost, which `away_since` tells; nor if
        this process asked too much, which tells nothing of the farm.)
        """
        kept.failed = self.clock()
        is_here = self.away_since is None and not isinstance(error, LinkLostError)
        if question == _WWW and kept.document and is_here and not isinstance(error, LimitError):
            kept.document = {**kept.document, "private": True}


def is_private(www: Document) -> bool:
    """
    Whether only holders of grants may read the pages of the farm that tells *www*; a farm that tells nothing is
    private.
    """
    return bool(www.get("private", True))


def _is_refusal(error: BuildbotLiteError) -> bool:
    """
    Whether the master does not answer the question, or does not know it, being of an older version: then it need not be
    asked for each page.  Not if too much was asked at once, or if it failed.
    """
    return isinstance(error, RefusedError | NotFoundError) and not isinstance(error, LimitError | DefectError)


def _unwrapped(question: str, answer: Document) -> Document:
    """
    The document in *answer*: of some answers, it is the one field.
    """
    inner = answer.get(question)
    return inner if len(answer) == 1 and isinstance(inner, Mapping) else answer
