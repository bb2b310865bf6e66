"""
The forms in which programs print a secret: escaped, or in base64.

A secret with a quote, a slash or a non-ASCII character has another form in JSON, XML, a URL or the trace of a shell.
Each way of escaping is a table from characters to text; comments name the programs that use it.  Double escaping (JSON
within JSON) is not covered.
"""

import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial

Table = Mapping[int, str]
"""The text for a character; a character that is not in the table is left unchanged."""
EscapeNonAscii = Callable[[str], str]
"""Returns the text for a non-ASCII character that is not in the table."""

_NON_ASCII_BYTES = range(128, 256)
_LAST_OF_ASCII = "\x7f"
_CONTROLS = (*range(32), 127)

# The unreserved characters of RFC 3986.
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
# Characters that percent-encoding leaves unchanged: by RFC 3986, in a path, by encodeURIComponent, by encodeURI.
_UNCHANGED = (_PLAIN, _PLAIN + "/", _PLAIN + "!'()*", _PLAIN + ";,/?:@&=+$!*'()#")
# Characters that no table changes; only percent-encoding of every byte (`escaped`) does.
_NEVER_CHANGED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ITSELF = {each: each for each in _NEVER_CHANGED}


def in_base64(part: bytes) -> Iterator[bytes]:
    """
    The characters of base64 that depend on *part* alone, at each of three alignments, in both alphabets (RFC 4648).

    Characters at the ends that also depend on neighbouring bytes are left out: they contain at most 4 bits of *part*.
    """
    for before in range(3):
        begin = (before * 8 + 5) // 6
        end = (before + len(part)) * 8 // 6
        encoded = binascii.b2a_base64(bytes(before) + part, newline=False)[begin:end]
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")


def escaped(part: bytes) -> Iterator[bytes]:
    """
    *part* as escaped in URLs, JSON, XML, quoted-printable, shells and programming languages, where that differs.
    """
    for form in ("%%%02X", "%%%02x"):
        yield "".join([form % byte for byte in part]).encode()
    for spelt in _spelt(part.decode("latin-1"), _tables_of_bytes()):
        yield spelt.encode("latin-1")
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return
    for spelt in _spelt(text, _tables_of_characters()):
        yield spelt.encode()


def _spelt(text: str, tables: Iterable[tuple[Table, EscapeNonAscii]]) -> Iterator[str]:
    """
    *text* as each of *tables* spells it, without duplicates and without *text* itself.
    """
    letters = sorted({*text} - _NEVER_CHANGED)
    # Several tables may have the same result for a text, and converting a long text takes time.
    seen = {tuple(letters)}
    for table, escape in tables:
        spelt = tuple([table.get(ord(each)) or (escape(each) if each > _LAST_OF_ASCII else each) for each in letters])
        if spelt not in seen:
            seen.add(spelt)
            yield "".join(map({**_ITSELF, **dict(zip(letters, spelt, strict=True))}.__getitem__, text))


@cache
def _tables_of_bytes() -> list[tuple[Table, EscapeNonAscii]]:
    tables = (*_percent(), *_xml(), *_quoted_printable(), *_shells(), *_doubled(), *_languages())
    return [(table, str) for table in tables]


def _percent() -> Iterator[Table]:
    """
    RFC 3986 §2.1, with upper-case and with lower-case digits.
    """
    for form in ("%%%02X", "%%%02x"):
        tables = [{byte: form % byte for byte in range(256) if chr(byte) not in plain} for plain in _UNCHANGED]
        yield from tables
        yield {**tables[0], 0x20: "+"}  # in forms, where a space becomes a plus


def _xml() -> Iterator[Table]:
    """
    XML 1.0 and HTML, with each spelling of the quotes.
    """
    text = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    lines = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    for quotes in (
        {},  # saxutils.escape, text of libxml2
        {'"': "&quot;"},  # quoteattr, attributes of libxml2
        {'"': "&quot;", "'": "&apos;"},
        {'"': "&quot;", "'": "&#x27;"},  # html.escape
        {'"': "&quot;", "'": "&#39;"},  # Jinja, Java
        {'"': "&quot;", "'": "&#039;"},  # PHP
        {'"': "&#34;", "'": "&#39;"},  # Go, markupsafe
    ):
        yield _of({**text, **quotes})
        yield _of({**text, **quotes, **lines})
    yield _of({"&": "&amp;", "<": "&lt;"})


def _doubled() -> Iterator[Table]:
    """
    Doubled quotes: single ones in YAML and SQL, double ones in CSV and SQL.
    """
    for quote in "'\"":
        yield _of({quote: quote * 2})


def _quoted_printable() -> Iterator[Table]:
    """
    RFC 2045 §6.7, without soft line breaks; and the form for headers, RFC 2047 §4.2.
    """
    body = {byte: f"={byte:02X}" for byte in (*_CONTROLS, ord("="), *_NON_ASCII_BYTES)}
    yield body
    yield {byte: text for byte, text in body.items() if byte not in b"\t\r\n"}
    yield {**body, **{ord(each): f"={ord(each):02X}" for each in "?_"}, 0x20: "_"}


def _shells() -> Iterator[Table]:
    yield _of({"'": "'\"'\"'"})  # shlex.quote
    yield _of({"'": "'\\''"})  # the trace (set -x) of bash and dash, git
    yield _of({each: f"\\{each}" for each in '"\\$`'})  # between double quotes
    yield _of({each: f"\\{each}" for each in '"\\$`!'})
    special = " \t!\"$&'()*,;<>?[\\]^`{|}"
    for more in ("", "#~", "#~=", "#~=:%@+/"):  # printf %q of bash; of zsh; ls, find and make, which differ
        yield _of({each: f"\\{each}" for each in special + more})


def _languages() -> Iterator[Table]:
    """
    Literals of bytes: Python's repr, C, Go, git's quoted paths, ``$'…'``.
    """
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    c = {**short, "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    for quotes in ("", "'", '"', "'\""):
        basic = _of({"\\": "\\\\", **{each: f"\\{each}" for each in quotes}})
        for names, form, codes in (
            (short, "\\x%02x", _CONTROLS),  # repr of text that can be printed
            (short, "\\x%02x", (*_CONTROLS, *_NON_ASCII_BYTES)),  # repr of bytes
            (c, "\\%03o", (*_CONTROLS, *_NON_ASCII_BYTES)),  # bash, git
            ({**c, "\x1b": "\\E"}, "\\%03o", (*_CONTROLS, *_NON_ASCII_BYTES)),
        ):
            yield {**{code: form % code for code in codes}, **_of(names), **basic}


@cache
def _tables_of_characters() -> list[tuple[Table, EscapeNonAscii]]:
    """
    XML, JSON (RFC 8259 §7) and string literals, each with a function for non-ASCII characters.
    """
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    basic = {'"': '\\"', "\\": "\\\\"}
    tables: list[tuple[Table, EscapeNonAscii]] = []
    for form in ("\\u%04x", "\\u%04X"):
        controls = {chr(code): form % code for code in _CONTROLS[:-1]}
        for more in (
            {},  # Python, JavaScript, jq
            {each: form % ord(each) for each in "<>&"},  # Go
            {each: form % ord(each) for each in "<>&'"},
            {each: form % ord(each) for each in "\"<>&'+`\x7f"},  # .NET
            {"/": "\\/"},  # PHP
        ):
            json = _of({**controls, **names, **basic, **more})
            tables += [(json, str), (json, partial(_in_utf16, form))]
    literal = {
        **{chr(code): f"\\x{code:02x}" for code in _CONTROLS},
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\\": "\\\\",
    }
    # As ElementTree and libxml2 write ASCII.
    for form in ("&#%d;", "&#x%X;", "&#x%x;"):
        tables += [(xml, partial(_in_references, form)) for xml in _xml()]
    for quotes in ({}, {"'": "\\'"}):
        tables.append((_of({**literal, **quotes}), _in_python))
    return tables


def _in_utf16(form: str, letter: str) -> str:
    data = letter.encode("utf-16-be")
    return "".join(form % int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))


def _in_references(form: str, letter: str) -> str:
    return form % ord(letter)


def _in_python(letter: str) -> str:
    return ascii(letter)[1:-1]


def _of(texts: Mapping[str, str]) -> dict[int, str]:
    return {ord(character): text for character, text in texts.items()}
