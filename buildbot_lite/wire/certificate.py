"""
The private key and certificate of a Tub.

The certificate's fingerprint is in every FURL of a farm, so the file with the key is the farm's identity: restored from
a backup, it lets slaves attach without new FURLs.  The key is EC P-256, which needs a third less CPU time per handshake
than RSA-2048.  The certificate's dates are not checked: a FURL names the key itself.
"""

import datetime as dt
import os
import re
import secrets
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from ..errors import BuildbotLiteError

_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")
_BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


class CertificateError(BuildbotLiteError):
    """
    The file with the private key cannot be used.  Restore it from a backup.
    """


def new_certificate() -> bytes:
    """
    A new private key and its certificate, as PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "buildbot-lite")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(certificate: bytes) -> str:
    """
    The SHA-256 of the certificate in *certificate* (PEM), in hexadecimal digits; it is public.
    """
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def load_or_create(path: str) -> bytes:
    """
    The contents of the file *path*; if there is none, it is created with a new key, synced to disk, with mode 0600.

    `CertificateError` if other users may read the file, or it holds no key and certificate.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        _create(path, new_certificate())
        return _load(path)


def key_derived_from(pem: bytes, purpose: str) -> bytes:
    """
    32 secret bytes for *purpose*, derived from the private key in *pem* by HKDF-SHA256 (RFC 5869).
    """
    match = _PRIVATE_KEY.search(pem)
    if match is None:
        raise CertificateError("The certificate file contains no private key.  Restore it from a backup.")
    private = serialization.load_pem_private_key(pem[match.start() :], None)
    secret = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"buildbot_lite {purpose}".encode()).derive(secret)


def _load(path: str) -> bytes:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise CertificateError(f"Other users can read {path}, a private key.  Run: chmod 600 {path}")
        pem = file.read(1 << 16)
    if b"PRIVATE KEY" not in pem or b"BEGIN CERTIFICATE" not in pem:
        raise CertificateError(f"{path} does not contain a key and its certificate.  Restore it from a backup.")
    return pem


def _create(path: str, pem: bytes) -> None:
    temporary = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # link(2) never replaces a file: two processes that start at once both use the first one's key.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
