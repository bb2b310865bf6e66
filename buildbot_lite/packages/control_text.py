"""
Debian's control files (Debian Policy 5.1, deb822(5)), of one paragraph, with or without a signature around them.

The text comes from others.  Programs differ in what they make of a field that is there twice or of text outside the
signature, so both are refused.
"""

import re

from ..errors import InputError

_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"
_FIELD = re.compile(r"(?P<name>[!-9;-~]+):[ \t]*(?P<value>.*)\Z")


def read_paragraph(data: bytes, what: str = "The .dsc") -> dict[str, str]:
    """
    The fields in *data*, by name in lower case.  Lines of one value are joined by line feeds, without the white space
    around each.  `InputError`, with *what* as the name of the text.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{what} is not UTF-8 text.") from None
    if "\0" in text:
        raise InputError(f"{what} is no text.")
    lines = [line.rstrip("\r") for line in text.strip("\n").split("\n")]
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in _without_signature(lines, what):
        if line.startswith("#"):
            continue
        if line.startswith((" ", "\t")) and values is not None:
            values.append(line.strip())
            continue
        match = _FIELD.match(line)
        if match is None:
            raise InputError(f"{what} has a line that is no field: {line!r:.120}")
        name = match["name"].lower()
        if name in fields:
            raise InputError(f"{what} has the field {match['name']!r:.60} twice.")
        values = fields[name] = [match["value"].strip()]
    return {name: "\n".join(values).strip("\n") for name, values in fields.items()}


def _without_signature(lines: list[str], what: str) -> list[str]:
    # A text with a signature in clear (RFC 9580, section 7): headers, an empty line, the text, in which a line that
    # begins with a hyphen has "- " before it, the signature.
    if lines[0].rstrip() != _SIGNED:
        return lines
    try:
        begin, end = lines.index(""), lines.index(_SIGNATURE)
    except ValueError:
        raise InputError(f"{what} begins as a signed text, but has no whole signature.") from None
    if lines[-1].rstrip() != _END:
        raise InputError(f"{what} has text after its signature, or only a part of it.")
    signed = [line.removeprefix("- ") for line in lines[begin + 1 : end]]
    while signed and not signed[-1].strip():
        signed.pop()
    return signed
