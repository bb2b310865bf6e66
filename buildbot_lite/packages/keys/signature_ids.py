"""
The names of signatures, by which signers and the farm tell them apart.
"""

import re
from hashlib import sha256

_ID = re.compile(r"[0-9a-f]{64}-(?:bytes|text)\Z")


def id_of(data: bytes, *, text: bool) -> str:
    """
    The name of a signature: the digest of the signed bytes *data*, and the kind of the signature.
    """
    return f"{sha256(data).hexdigest()}-{'text' if text else 'bytes'}"


def is_id(name: str) -> bool:
    """
    Whether `id_of` could have made *name*.
    """
    return _ID.match(name) is not None
