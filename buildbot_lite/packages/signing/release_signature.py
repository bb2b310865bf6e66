"""
The signatures of an apt repository: ``InRelease``, and ``Release`` with ``Release.gpg``.

An ``InRelease`` is a ``Release`` in the cleartext signature framework (RFC 9580, section 7).  That signature is one of
text, without the line feed at the end.  So the signer makes two detached signatures, and the farm writes the framework:
a signer's answer cannot bring other text into the file.
"""

from ...errors import InputError
from ..keys.openpgp import TEXT, Signature, armored_signature


def text_to_sign(release: bytes) -> bytes:
    """
    The bytes of *release* that are signed for an ``InRelease``; `InputError` when it has lines that the framework would
    change.
    """
    if not release.endswith(b"\n") or release.endswith(b"\n\n") or b"\r" in release:
        raise InputError("The Release file does not end with one line feed, or has other line ends.")
    lines = release[:-1].split(b"\n")
    if any(line.startswith(b"-") or line != line.rstrip() for line in lines):
        raise InputError("The Release file has a line that begins with a hyphen or ends with white space.")
    return release[:-1]


def in_release(release: bytes, signature: Signature) -> bytes:
    """
    The contents of ``InRelease``.  *signature*: the signature of `text_to_sign`.
    """
    if signature.kind != TEXT:
        raise InputError("InRelease needs a signature of text, and that is one of bytes.")
    return b"".join(
        [
            b"-----BEGIN PGP SIGNED MESSAGE-----\n",
            b"Hash: " + signature.digest.encode() + b"\n\n",
            text_to_sign(release) + b"\n",
            armored_signature(signature.data),
        ]
    )
