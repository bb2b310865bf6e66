"""
Descriptions of what a signer is asked to sign, read from the signed bytes themselves, so that the signer need not trust
the farm.
"""

import io
import re

from ...errors import InputError
from ...model.display import printable
from ..formats.rpm_file import ARCH, NAME, SOURCE_PACKAGE, SOURCE_RPM, epoch_of, payload_digest, version_of
from ..formats.rpm_header import read_header

_LONGEST = 200
# Only texts of these forms: any other text, once signed, could be misused with another program.
_RELEASE = re.compile(
    rb"(?P<fields>(?:(?:Origin|Label|Suite|Codename|Date|Architectures|Components|Acquire-By-Hash)"
    rb": [!-~][ -~]{0,499}\n)++)"
    rb"SHA256:\n"
    rb"(?: [0-9a-f]{64} +[0-9]{1,15} [!-~]{1,500}\n)*+\Z"
)
_SHOWN = (b"Suite:", b"Codename:", b"Date:")
_REPOMD = re.compile(
    rb"<\?xml version=\"1\.0\"( encoding=\"UTF-8\")?\?>\n"
    rb"<repomd xmlns=\"http://linux\.duke\.edu/metadata/repo\"( xmlns:rpm=\"http://linux\.duke\.edu/metadata/rpm\")?"
)
_REPOMD_END = b"</repomd>"


def is_index(data: bytes) -> bool:
    """
    Whether *data* is something else than the header of a package; `described` says what.
    """
    return not data.startswith(b"\x8e\xad\xe8")


def described(data: bytes) -> str:
    """
    A description of *data*: the header of an RPM package, or the index of a repository.  `InputError` when it is
    neither; then it must not be signed.
    """
    if data.startswith(b"\x8e\xad\xe8"):
        return _package(data)
    if _is_repomd(data):
        return "repomd.xml, the index of an RPM repository"
    if release := _RELEASE.match(data):
        fields = [line for line in release["fields"].split(b"\n") if line.startswith(_SHOWN)]
        said = "; ".join(line.decode("ascii") for line in fields)
        return f"Release, the index of an apt repository ({printable(said):.{_LONGEST}})"
    raise InputError("The farm asks to sign something that is no package and no index of a repository.")


def _is_repomd(data: bytes) -> bool:
    """
    Whether *data* is one element ``repomd``, with neither comments nor processing instructions nor declarations.
    """
    # Not one regular expression: possessive quantifiers fail here in Python 3.11.2, the version of Debian 12.
    if not (head := _REPOMD.match(data)):
        return False
    rest = data[head.end() :].removesuffix(b"\n")
    if rest == b"/>":
        return True
    inside = rest[1 : -len(_REPOMD_END)]
    whole = rest.startswith(b">") and rest.endswith(_REPOMD_END)
    return whole and not any(part in inside for part in (_REPOMD_END, b"<!", b"<?", b"\0"))


def _package(data: bytes) -> str:
    file = io.BytesIO(data)
    header = read_header(file)
    if file.read(1) or not payload_digest(header):
        raise InputError("The farm asks to sign a header that is not the one of a whole package.")
    epoch, version = epoch_of(header), version_of(header)
    full = f"{epoch}:{version}" if epoch else version
    arch = "src" if SOURCE_PACKAGE in header else header.text(ARCH)
    source = f", built of {printable(header.text(SOURCE_RPM)):.{_LONGEST}}" if SOURCE_RPM in header else ""
    name = printable(header.text(NAME))
    return f"package {name:.{_LONGEST}} {printable(full):.{_LONGEST}} {printable(arch):.40}{source}"
