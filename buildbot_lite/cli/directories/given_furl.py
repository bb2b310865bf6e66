"""
A FURL that the user gives to a command: as an argument, or better on standard input.
"""

from ...errors import FurlError
from ..output.printing import note, read_secret


def given_furl(furl: str, command: str) -> str:
    """
    The FURL for *command*, from its argument or from standard input.
    """
    if furl == "-":
        return _read_string()
    # A string that is damaged is as secret; a path or a name, given by mistake, is not.
    if "pb:" in furl or "@" in furl:
        note(
            "Warning: while this command ran, every user of this machine could read that string in the list of "
            f"processes.  Next time: buildbot-lite {command}    (and paste the string)"
        )
    return furl


def _read_string() -> str:
    from ...wire.furl import furls_in

    text = read_secret("The string")
    if not text.strip():
        raise FurlError(
            "There is nothing on standard input, where the string was expected.  (If a command before the pipe failed, "
            "mend that first.)"
        )
    strings = furls_in(text)
    if len(strings) > 1:
        raise FurlError("These are several strings.  Give one; that of a slave is a line of buildslave.furls.")
    # The parser says what is wrong with other text.
    return strings[0] if strings else text.strip()
