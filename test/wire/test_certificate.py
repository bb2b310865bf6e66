"""
The file with a Tub's key.
"""

import os
import stat

from cryptography.hazmat.primitives import serialization
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.certificate import (
    CertificateError,
    key_derived_from,
    load_or_create,
    new_certificate,
)
from buildbot_lite.wire.tub import make_tub


class CertificateTest(SynchronousTestCase):
    def setUp(self) -> None:
        os.makedirs(directory := str(self.mktemp()))
        self.path = os.path.join(directory, "tub.pem")

    def test_once(self) -> None:
        """
        A key is made once and kept: the FURLs of a farm stay the same after a restart (Promise 2).
        """
        first, second = load_or_create(self.path), load_or_create(self.path)

        self.assertEqual(first, second)
        self.assertEqual(make_tub(Clock(), first).tub_id, make_tub(Clock(), second).tub_id)
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["tub.pem"])

    def test_permissions(self) -> None:
        """
        Whatever the umask, no other user can ever read the file (Promise 2).
        """
        before = os.umask(0)
        self.addCleanup(os.umask, before)

        load_or_create(self.path)

        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_readable_by_others(self) -> None:
        """
        A key file that other users may read is refused, with the remedy.
        """
        load_or_create(self.path)
        os.chmod(self.path, 0o640)

        self.assertIn("chmod 600", str(self.assertRaises(CertificateError, load_or_create, self.path)))

    def test_broken(self) -> None:
        """
        A file without a key is refused and not replaced, because a new key would invalidate all FURLs.
        """
        with open(self.path, "w", encoding="ascii"):
            pass
        os.chmod(self.path, 0o600)

        self.assertRaises(CertificateError, load_or_create, self.path)
        self.assertEqual(os.path.getsize(self.path), 0)

    def test_differ(self) -> None:
        """
        Two keys give two TubIDs.
        """
        self.assertNotEqual(make_tub(Clock(), new_certificate()).tub_id, make_tub(Clock(), new_certificate()).tub_id)

    def test_derived(self) -> None:
        """
        Keys for other purposes are derived from the private key: always the same, independent of its encoding, and
        different for each purpose and key.
        """
        pem, other = load_or_create(self.path), new_certificate()
        keys = [key_derived_from(pem, "a"), key_derived_from(pem, "b"), key_derived_from(other, "a")]

        self.assertEqual(len({*keys, key_derived_from(load_or_create(self.path), "a")}), 3)
        self.assertEqual({len(key) for key in keys}, {32})
        key = serialization.load_pem_private_key(pem[pem.index(b"-----BEGIN PRIVATE") :], None)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        as_openssl = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        self.assertEqual(key_derived_from(as_openssl + pem, "a"), keys[0])
        self.assertRaises(CertificateError, key_derived_from, b"nothing", "a")
