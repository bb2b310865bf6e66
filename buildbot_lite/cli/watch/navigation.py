"""
The ways through ``buildbot-lite watch``: from the farm to a builder, a build and a step, and back; up and down in each.

::

    farm ──open──► builder ──open──► build ──open──► the log of a step          each with its own place
      ◄────back─────── ◄──────back───── ◄──────back─────

A view begins as an overview; the first movement leads into its rows, and back from them to the overview.
"""

from collections.abc import Sequence

from attrs import define
from rich.text import Text

from ...errors import NotFoundError
from ..command_line.next_commands import said_here
from .documents import Answering, CountedChanges, Documents, Watched, WatchedBuild, WatchedBuilder, WatchedFarm
from .keys import BACK, DOWN, END, HOME, OPEN, PAGE_DOWN, PAGE_UP, UP
from .screen_layout import Row, Space, Target
from .views import composition


@define
class _View:
    """
    One thing that is watched, and the place in its rows: the number of the *selected* one, None in the overview; its
    *target*, by which it is found again; the first row on the screen.  *follows*: the last row stays selected while
    there come more.  *asked*: it was named by the user, who shall hear that it does not exist.
    """

    watched: Watched
    asked: bool = False
    selected: int | None = None
    target: Target | None = None
    top: int = 0
    follows: bool = False

    def select(self, rows: Sequence[Row], wanted: int, way: int) -> None:
        """
        Select the row that is nearest to number *wanted* of those that can be: if it cannot, the next one on the *way*
        (1 or -1), else the last one before.
        """
        stops = [number for number, row in enumerate(rows) if row.stops]
        if not stops:
            self.selected = self.target = None
            return
        on_the_way = [number for number in stops if (number - wanted) * way >= 0]
        self.selected = (min if way > 0 else max)(on_the_way or [stops[-1] if way > 0 else stops[0]])
        self.target = rows[self.selected].target
        self.follows = False

    def settle(self, rows: Sequence[Row], room: int) -> None:
        """
        Find the selected row among *rows*, which may have changed, and put it on the screen with *room* rows.
        """
        known = [number for number, row in enumerate(rows) if self.target is not None and row.target == self.target]
        follows = self.follows
        if follows:
            self.select(rows, len(rows), -1)
        else:
            self.select(rows, known[0] if known else self.selected or 0, 1)
        self.follows = follows
        self._scroll(rows, room)

    def _scroll(self, rows: Sequence[Row], room: int) -> None:
        if self.selected is None:
            return
        first = next(number for number, row in enumerate(rows) if row.stops)
        self.top = min(self.top, self.selected, max(0, len(rows) - room))
        # Above the first row that can be selected, there is its heading.
        self.top = 0 if self.selected == first < room else max(self.top, self.selected - room + 1)


class Navigation:
    """
    What is watched now: the role `Watched`.  *watched*: what the user named; the way back leads to what contains it.

    *turns*: the views that were opened and left so far.  *problem*: a sentence about the last one that is gone, or "".
    """

    def __init__(self, watched: Watched) -> None:
        self._views = [_View(each) for each in _containing(watched)] + [_View(watched, asked=True)]
        self._space: Space | None = None
        self.turns = CountedChanges()
        self.problem = ""

    @property
    def _view(self) -> _View:
        return self._views[-1]

    @property
    def least_pause(self) -> float | None:
        return self._view.watched.least_pause

    def documents(self) -> Documents:
        return self._view.watched.documents()

    async def look(self, link: Answering) -> None:
        view = self._view
        try:
            await view.watched.look(link)
        except NotFoundError as error:
            if view is not self._view:
                return  # it was left meanwhile
            if view.asked or len(self._views) == 1:
                raise
            self.problem = said_here(str(error))
            self._leave()

    def lines(self, space: Space) -> list[Text]:
        """
        The lines of the screen, exactly as many as *space* has.
        """
        self._space, view = space, self._view
        composed = composition(view.watched, space)
        if view.selected is not None:
            rows = composed.rows(space.width)
            view.settle(rows, space.rows)
            if view.selected is not None:
                return composed.part(rows, view.top, view.selected, space)
        return composed.overview(space)

    def press(self, key: str) -> None:
        """
        Obey a *key* of `keys`.
        """
        if self._space is None:
            return
        self.problem, view = "", self._view
        if key == BACK:
            self._back()
            return
        rows = composition(view.watched, self._space).rows(self._space.width)
        if key == OPEN and view.target is not None:
            self._open(view.target)
            return
        self._move(view, rows, key)

    def _move(self, view: _View, rows: Sequence[Row], key: str) -> None:
        page = max(1, (self._space.rows if self._space is not None else 1) - 1)
        at = -1 if view.selected is None else view.selected
        wanted = {
            UP: (at - 1, -1),
            DOWN: (at + 1, 1),
            PAGE_UP: (at - page, -1),
            PAGE_DOWN: (at + page, 1),
            HOME: (0, 1),
            END: (len(rows), -1),
            OPEN: (max(0, at), 1),
        }
        view.select(rows, *wanted[key])
        view.follows = key == END

    def _open(self, target: Target) -> None:
        self._views.append(_View(_watched(target)))
        self.turns.fire()

    def _back(self) -> None:
        if len(self._views) > 1:
            self._leave()
        else:
            self._view.selected = self._view.target = None
            self._view.top = 0

    def _leave(self) -> None:
        self._views.pop()
        self.turns.fire()


def _containing(watched: Watched) -> list[Watched]:
    """
    What contains *watched*, the farm first.
    """
    if isinstance(watched, WatchedFarm):
        return []
    return [WatchedFarm(), *([WatchedBuilder(watched.builder)] if isinstance(watched, WatchedBuild) else [])]


def _watched(target: Target) -> Watched:
    kind, builder, *numbers = target
    if kind == "builder":
        return WatchedBuilder(str(builder))
    number, *chosen = map(int, numbers)
    return WatchedBuild(str(builder), number, chosen[0] if chosen else None)
