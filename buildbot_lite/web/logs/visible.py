"""
Characters as a page shows them: safe HTML, in which nothing is invisible.

Control characters become their pictures (U+2400…), undecodable bytes U+FFFD, and characters that turn the direction of
text or have no width their numbers.
"""

import html
import re
import unicodedata

_MARKUP = re.compile("[&<>\"']")
# Joined emoji and some scripts need these two; they change nothing else.
_JOINERS = "\u200c\u200d"
_INVISIBLE = {"Cf", "Cc", "Cn", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """
    *text* as safe HTML.
    """
    return "".join(as_html(text))


def as_html(text: str) -> list[str]:
    """
    The characters of *text*, each as safe HTML.
    """
    if text.isprintable() and "\ufffd" not in text:
        return [html.escape(each) for each in text] if _MARKUP.search(text) else list(text)
    return [_one_as_html(each) for each in text]


def as_text(text: str) -> list[str]:
    """
    The characters of *text*, each as text that a terminal prints as it is.
    """
    return list(text) if text.isprintable() else [_shown(each) for each in text]


def _one_as_html(character: str) -> str:
    shown = _shown(character)
    return html.escape(shown) if shown == character != "\ufffd" else f"<i>{shown}</i>"


def _shown(character: str) -> str:
    code = ord(character)
    if character == "\t" or character.isprintable() or character in _JOINERS:
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"U+{code:04X}" if unicodedata.category(character) in _INVISIBLE else character
