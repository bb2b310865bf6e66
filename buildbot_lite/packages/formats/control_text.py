"""
Debian's control files (Debian Policy 5.1, deb822(5)), of one paragraph, with or without a signature around them.

The text comes from others.  Programs read a field that is there twice, or text outside the signature, in different
ways; so both are refused.
"""

import re

from ...errors import InputError

# A text with a signature in clear (RFC 9580, section 7): headers, an empty line, the text, in which a line that begins
# with a hyphen has "- " before it, the signature.  Each line is exact and each marker is there once: programs differ in
# which lines with white space or other text around a marker they still take for one.
_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\n"
    rb"(?:Hash: [A-Z0-9, -]*\n)*+\n"
    rb"(?P<text>(?:(?:- [^\n]*|[^-\n][^\n]*)?\n)*+)"
    rb"-----BEGIN PGP SIGNATURE-----\n"
    rb"(?:[A-Z][a-z]*: [^\n]*\n)*+\n"
    rb"(?:[A-Za-z0-9+/=]+\n)++"
    rb"-----END PGP SIGNATURE-----\n*\Z"
)
_MARKER = b"-----"
_SPACE = " \t"
_FIELD = re.compile(r"(?P<name>[!-,.-9;-~][!-9;-~]*):[ \t]*(?P<value>.*)\Z")


def read_paragraph(data: bytes, what: str = "The .dsc") -> dict[str, str]:
    """
    The fields in *data*, by name in lower case.  Lines of one value are joined by line feeds, without the white space
    around each.  `InputError`, with *what* as the name of the text.
    """
    try:
        text = _without_signature(data, what).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text.") from None
    if "\0" in text:
        raise InputError(f"{what} is no text.")
    lines = [line.rstrip("\r") for line in text.strip("\n").split("\n")]
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in lines:
        if line.startswith("#"):
            continue
        # A line of white space alone ends the paragraph for some programs, and continues a value for others.
        if line.startswith((" ", "\t")) and line.strip() and values is not None:
            values.append(line.strip(_SPACE))
            continue
        match = _FIELD.match(line)
        if match is None:
            raise InputError(f"{what} has a line that is no field: {line!r:.120}")
        name = match["name"].lower()
        if name in fields:
            raise InputError(f"{what} has the field {match['name']!r:.60} twice.")
        values = fields[name] = [match["value"].strip(_SPACE)]
    return {name: "\n".join(values).strip("\n") for name, values in fields.items()}


def _without_signature(data: bytes, what: str) -> bytes:
    if not data.lstrip().startswith(_MARKER):
        return data
    match = _SIGNED.match(data)
    if match is None:
        raise InputError(
            f"{what} begins as a signed text, but is not exactly one: the signed text and one signature, with nothing "
            "before, between or after them."
        )
    return b"\n".join(line.removeprefix(b"- ") for line in match["text"].split(b"\n"))
