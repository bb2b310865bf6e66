"""
Signed repositories, as apt and dnf read them.
"""

import os
from pathlib import Path
from typing import Any

from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.rpm_metadata import RpmMetadata

from ..needs import needs
from .built_packages import Apt, Dnf, deb, rpm
from .keys import GnupgHome
from .test_signing_round import RoundCase


class SignedRepositoryCase(RoundCase):
    """
    A round whose snapshots are those of a real repository.
    """

    def make_repository(self) -> Any:
        self.top = Path(self.directory)
        os.chmod(self.top, 0o755)
        return PackageRepository(str(self.top / "repos" / "t"), self.metadata())

    def metadata(self) -> Any:
        """
        The metadata of the repository.
        """
        raise NotImplementedError

    @property
    def public(self) -> Path:
        """
        The files that clients see.
        """
        return self.top / "repos" / "t" / "public"

    def publish(self, package: Path) -> None:
        """
        Sign *package*, and publish it.
        """
        number = self.job(package.name, package.read_bytes())
        self.sign([number])
        self.push([number])
        signed = self.signed()
        assert signed is not None
        self.files.publish(signed.snapshot)


@needs("apt-ftparchive", "apt-get", "dpkg-deb")
class SignedDebianTests(SignedRepositoryCase):
    """
    An apt repository, with ``signed-by``.
    """

    def metadata(self) -> Any:
        return DebianMetadata("t", ["amd64"])

    def apt(self, name: str, key: GnupgHome | None = None) -> Apt:
        """
        A new client that trusts *key* alone; None: the target's.
        """
        keyring = self.top / f"{name}.asc"
        keyring.write_bytes((key or self.key).public())
        return Apt(self.top / name, f"deb [signed-by={keyring}] file:{self.public} t main")

    def test_accepted(self) -> None:
        """
        Promise 9.7: apt takes the signed repository, by InRelease and by Release.gpg, and packages that were signed
        later; with another key, with a changed index, a changed package and without signatures it refuses.
        """
        self.publish(deb(self.top / "debs", "greet"))
        first = self.apt("first")
        updated = first("update", "--error-on=any")
        self.assertEqual(updated.returncode, 0, updated.stderr)
        self.assertNotIn("W:", updated.stderr)
        self.assertEqual(first("download", "greet").returncode, 0)
        self.publish(deb(self.top / "debs", "later"))
        self.assertEqual(first("update", "--error-on=any").returncode, 0)
        self.assertEqual(first("download", "greet", "later").returncode, 0)
        other = GnupgHome(name="Other")
        self.addCleanup(other.remove)
        wrong = self.apt("wrong", other)("update", "--error-on=any")
        self.assertEqual(wrong.returncode, 100)
        self.assertIn("NO_PUBKEY", wrong.stderr)
        pool = self.public / "pool" / "greet_1.0_all.deb"
        pool.write_bytes(pool.read_bytes().replace(b"debian-binary", b"debian-binarY"))
        refused = self.apt("tampered")
        self.assertEqual(refused("update", "--error-on=any").returncode, 0)
        # apt does not copy packages from file: addresses, so it checks the digest when it installs the package.
        self.assertNotEqual(refused("-o", "Acquire::file::Copy=true", "download", "greet").returncode, 0)
        suite = self.public / "dists" / "t"
        (suite / "InRelease").unlink()
        self.assertEqual(self.apt("detached")("update", "--error-on=any").returncode, 0)
        (suite / "Release").write_bytes((suite / "Release").read_bytes() + b"Changelogs: no\n")
        tampered = self.apt("index")("update", "--error-on=any")
        self.assertEqual(tampered.returncode, 100)
        (suite / "Release.gpg").unlink()
        unsigned = self.apt("unsigned")("update", "--error-on=any")
        self.assertEqual(unsigned.returncode, 100)
        self.assertIn("is not signed", unsigned.stderr)


@needs("createrepo_c", "dnf", "rpmbuild")
class SignedRpmTests(SignedRepositoryCase):
    """
    An RPM repository, with ``gpgcheck=1`` and ``repo_gpgcheck=1``.
    """

    def metadata(self) -> Any:
        return RpmMetadata()

    def dnf(self, name: str, key: GnupgHome | None = None, more: str = "gpgcheck=1\nrepo_gpgcheck=1") -> Dnf:
        """
        A new client that trusts *key* alone; None: the target's.
        """
        keyring = self.top / f"{name}.asc"
        keyring.write_bytes((key or self.key).public())
        client = Dnf(self.top / name, f"file://{self.public}")
        config = self.top / name / "dnf.conf"
        config.write_text(config.read_text().replace("gpgcheck=0", f"{more}\ngpgkey=file://{keyring}"))
        return client

    def test_accepted(self) -> None:
        """
        Promise 9.7: dnf installs from the signed repository, with both checks; with another key, a changed index, a
        changed or an unsigned package it refuses.
        """
        unsigned = rpm(self.top / "rpms", "unsigned")
        self.publish(rpm(self.top / "rpms", "greet"))
        self.publish(rpm(self.top / "rpms", "later"))
        installed = self.dnf("first")("install", "greet", "later")
        self.assertEqual(installed.returncode, 0, installed.stdout + installed.stderr)
        self.assertTrue((self.top / "first" / "root" / "usr/share/greet/text").exists())
        other = GnupgHome(name="Other")
        self.addCleanup(other.remove)
        for check in ("gpgcheck=1\nrepo_gpgcheck=0", "gpgcheck=0\nrepo_gpgcheck=1"):
            self.assertNotEqual(self.dnf(f"other{check[9]}", other, check)("install", "greet").returncode, 0)
        package = self.public / "packages" / "greet-1.0-1.noarch.rpm"
        signed = package.read_bytes()
        package.write_bytes(signed[:-1] + b"?")
        self.assertNotEqual(self.dnf("tampered")("install", "greet").returncode, 0)
        package.write_bytes(unsigned.read_bytes())
        repomd = self.public / "repodata" / "repomd.xml"
        repomd.write_bytes(repomd.read_bytes() + b"\n")
        self.assertNotEqual(self.dnf("index")("install", "later").returncode, 0)

    def test_unsigned_package(self) -> None:
        """
        Promise 9.7: an unsigned package in a repository that is signed is refused.
        """
        self.publish(rpm(self.top / "rpms", "greet"))
        path = rpm(self.top / "rpms", "unsigned")
        name = self.repository.prepare("public", [str(path)])
        signature = self.key.gpg("--armor", "--detach-sign", stdin=self.repository.to_sign(name)["repomd.xml"])
        self.repository.publish(name, {"repomd.xml.asc": signature})
        self.assertEqual(self.dnf("signed")("install", "greet").returncode, 0)
        refused = self.dnf("unsigned")("install", "unsigned")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not signed", refused.stdout + refused.stderr)
