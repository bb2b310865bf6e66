"""
The colours and attributes that a program sets by SGR sequences, as classes of HTML.

The Content-Security-Policy of the pages forbids inline styles, so a colour is a class: ``f0`` to ``f255`` for the
text, ``b0`` to ``b255`` behind it, by the palette of xterm; the nearest one for a colour of 24 bits.  ``fi`` and ``bi``
are the colours of the page, exchanged.  Attributes are ``bo`` (bold), ``di`` (dim), ``it``, ``un`` and ``st``
(struck through).  Concealed text and blinking are ignored: a log hides nothing.

SGR: ECMA-48, 8.3.117; 256 colours and 24 bits: ISO 8613-6, as xterm takes them ("XTerm Control Sequences").
"""

from collections import deque
from collections.abc import Iterable

from attrs import define, field

from ...model.whole_numbers import whole_number

STANDARD = 16
"""The first colours of the palette, which differ between terminals."""
_LEVELS = (0, 95, 135, 175, 215, 255)
_SET = {1: "bo", 2: "di", 3: "it", 4: "un", 9: "st", 21: "un"}
_UNSET = {22: ("bo", "di"), 23: ("it",), 24: ("un",), 29: ("st",)}
_ORDER = ("bo", "di", "it", "un", "st")
_TEXT, _BEHIND, _UNDERLINE = 38, 48, 58


@define
class TextStyle:
    """
    The state of a terminal's colours and attributes.  *classes*: the value of the attribute ``class``; "" for plain
    text.
    """

    classes: str = ""
    _text: int | None = None
    _behind: int | None = None
    _inverse: bool = False
    _attributes: set[str] = field(factory=set)

    def apply(self, parameters: str) -> None:
        """
        Apply the SGR sequence with these *parameters*, separated by ``;`` or, within one, by ``:``.
        """
        waiting = deque(parameters.split(";"))
        while waiting:
            code, *rest = waiting.popleft().split(":")
            number = _number(code)
            if number in {_TEXT, _BEHIND, _UNDERLINE}:
                # Of the form with colons, 38:2::R:G:B, the colour space is often left out.
                of_one = deque(rest if len(rest) < 5 else [rest[0], *rest[2:]])
                self._colour(number, _palette_index(of_one if rest else waiting))
            elif number == 4 and rest == ["0"]:
                self._attributes.discard("un")
            else:
                self._simple(number)
        self.classes = self._as_classes()

    def _simple(self, number: int) -> None:
        if number == 0:
            self._text = self._behind = None
            self._inverse = False
            self._attributes.clear()
        elif number in _SET:
            self._attributes.add(_SET[number])
        elif number in _UNSET:
            self._attributes.difference_update(_UNSET[number])
        elif number in {7, 27}:
            self._inverse = number == 7
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self._text = number - 30 if number < 90 else number - 82
        elif 40 <= number <= 47 or 100 <= number <= 107:
            self._behind = number - 40 if number < 100 else number - 92
        elif number == 39:
            self._text = None
        elif number == 49:
            self._behind = None

    def _colour(self, of: int, index: int | None) -> None:
        if index is not None and of == _TEXT:
            self._text = index
        elif index is not None and of == _BEHIND:
            self._behind = index

    def _as_classes(self) -> str:
        names: list[str] = []
        text, behind = (self._behind, self._text) if self._inverse else (self._text, self._behind)
        if text is not None or self._inverse:
            names.append("fi" if text is None else f"f{text}")
        if behind is not None or self._inverse:
            names.append("bi" if behind is None else f"b{behind}")
        return " ".join([*names, *(each for each in _ORDER if each in self._attributes)])


def _number(text: str) -> int:
    """
    A parameter; one that is left out is 0, and one that is none is -1.
    """
    if not text:
        return 0
    number = whole_number(text)
    return -1 if number is None else number


def _palette_index(waiting: deque[str]) -> int | None:
    """
    The colour that the next parameters name, which are removed; None if they name none.
    """
    kind = _number(waiting.popleft()) if waiting else -1
    size = {5: 1, 2: 3}.get(kind)
    if size is None or len(waiting) < size:
        waiting.clear()
        return None
    values = [_number(waiting.popleft()) for _ in range(size)]
    if not all(0 <= value <= 255 for value in values):
        return None
    return values[0] if kind == 5 else nearest(*values)


def nearest(red: int, green: int, blue: int) -> int:
    """
    The index of the colour of the palette that is nearest to one of 24 bits, among those that are alike everywhere.
    """
    wanted = (red, green, blue)
    cube = [min(range(6), key=lambda level: abs(_LEVELS[level] - value)) for value in wanted]
    grey = min(23, max(0, round((sum(wanted) / 3 - 8) / 10)))
    choices = (STANDARD + 36 * cube[0] + 6 * cube[1] + cube[2], 232 + grey)
    return min(choices, key=lambda index: _distance(palette(index), wanted))


def palette(index: int) -> tuple[int, int, int]:
    """
    Red, green and blue of a colour of the palette from `STANDARD` on.
    """
    if index >= 232:
        level = 8 + 10 * (index - 232)
        return level, level, level
    rest = index - STANDARD
    return _LEVELS[rest // 36], _LEVELS[rest // 6 % 6], _LEVELS[rest % 6]


def _distance(one: Iterable[int], other: Iterable[int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
