"""
Packages on their whole way, for both families: built, signed from another machine's directory, published, installed.
"""

import base64
import subprocess

from ..needs import needs
from ..packages.built_packages import Apt, Dnf
from ..packages.keys import GnupgHome
from .farm import BIN, until
from .signing_case import SigningCase

SPEC = """\
Name: hail
Version: 1.0
Release: 1
Summary: hails
License: MIT
Source0: hail.txt
%description
For tests.
%build
%install
mkdir -p %{buildroot}/usr/share/hail
cp %{SOURCE0} %{buildroot}/usr/share/hail/
%files
/usr/share/hail/hail.txt
"""
TARGETS = """
from buildbot_lite.packages import DebTarget, Plain, RpmTarget
common = {"root": Plain(), "sign_key": "keys/farm.asc"}
c["targets"] = [
    DebTarget("d", arches=["ARCH", "all"], repository="repos/d", sign="manual", repo_script="push.sh", **common),
    RpmTarget("r", base_arches=["MACHINE"], repository="repos/r", sign="SIGN", **common),
]
"""


@needs("apt-ftparchive", "apt-get", "createrepo_c", "dnf", "dpkg-buildpackage", "gpg", "gpgv", "rpmbuild", "rpmkeys")
class PackageSigningTests(SigningCase):
    """
    A target of each family, with one key.
    """

    def setUp(self) -> None:
        super().setUp()
        self.machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
        self.configure("manual")
        script = self.master / "push.sh"
        script.write_text('#!/bin/sh\necho "$BUILDBOT_LITE_TARGET" >> pushed\n')
        script.chmod(0o700)

    def configure(self, sign: str) -> None:
        text = TARGETS.replace("ARCH", self.arch).replace("MACHINE", self.machine).replace("SIGN", sign)
        self.farm.config(text)

    def srpm(self) -> bytes:
        """
        A source RPM.
        """
        top = self.farm.directory / "srpm"
        top.mkdir()
        (top / "hail.spec").write_text(SPEC)
        (top / "hail.txt").write_text("hail\n")
        self.farm.run(
            f"rpmbuild --quiet -bs --define '_topdir {top}' --define '_sourcedir {top}' --define '_srcrpmdir {top}' "
            f"{top}/hail.spec"
        )
        return (top / "hail-1.0-1.src.rpm").read_bytes()

    def jobs(self) -> dict[str, tuple[int, str]]:
        """
        Return number and state of the jobs, by target.
        """
        return {
            target: (id, state) for target, id, state in self.farm.rows("select target, id, state from package_jobs")
        }

    def wait_for(self, **states: str) -> None:
        """
        Wait until the jobs have *states*, by target.
        """
        until(
            lambda: {target: state for target, (_, state) in self.jobs().items()} == states,
            f"the jobs became {states}",
        )

    def test_whole_way(self) -> None:
        """
        Promise 9.7: what is built waits in needsign, is signed elsewhere with kilobytes on the way, is pushed with a
        string of its own, and installs with all checks of apt and dnf; a wrong key, a changed package and an unsigned
        index are refused; no secret key is ever on the master.
        """
        self.farm.start()
        for target, data in (("d", self.source()), ("r", self.srpm())):
            done = self.farm.submit(target, data)
            self.assertEqual(done.code, 0, done.err)
        self.wait_for(d="needsign", r="needsign")
        other = GnupgHome(name="Other")
        self.addCleanup(other.remove)
        wrong = self.signer("--all", target="r", key=other)
        self.assertEqual(wrong.code, 70)
        self.assertIn("which is not in keys/farm.asc", wrong.err)
        numbers = {target: str(id) for target, (id, _) in self.jobs().items()}
        for target in ("d", "r"):
            signed = self.signer(numbers[target], target=target)
            self.assertEqual(signed.code, 0, signed.err)
            self.assertRegex(signed.err, r"# [0-9,]+ of [0-9,]+ bytes went out\n")
            self.assertFalse((self.master / "repos" / target / "public").exists())
            push = ("package", "push", numbers[target], "--furlfile")
            refused = self.farm.command(*push, self.string("sign", target))
            remedy = "Ask the farm's admin for one that does: buildbot-lite grant push TARGET"
            self.assertIn(f"This string does not permit 'package push'.  {remedy}", refused.err)
            pushed = self.farm.command(*push, self.string("push", target))
            self.assertEqual(pushed.out.decode(), f"to be published: job {numbers[target]}\n", pushed.err)
        self.wait_for(d="finished", r="finished")
        again = self.farm.command(*push, self.string("push", "r"))
        self.assertIn("There is nothing to push", again.out.decode())
        self.assertEqual((self.master / "pushed").read_text(), "d\n")
        self._install_debian()
        self._install_rpm()
        self._no_secret_key()

    def _install_debian(self) -> None:
        keyring = self.farm.directory / "farm.asc"
        keyring.write_bytes(self.key.public())
        public = self.master / "repos" / "d" / "public"
        line = f"deb [signed-by={keyring}] file:{public} d main"
        apt = Apt(self.farm.directory / "apt", line)
        self.assertEqual(apt("update", "--error-on=any").returncode, 0)
        got = apt("download", "greet", "greet-data")
        self.assertEqual(got.returncode, 0, got.stderr)
        (package,) = (public / "pool").glob("greet-data_*.deb")
        package.chmod(0o644)
        package.write_bytes(package.read_bytes()[:-1] + b"?")
        tampered = Apt(self.farm.directory / "apt2", line)
        self.assertEqual(tampered("update", "--error-on=any").returncode, 0)
        self.assertNotEqual(tampered("-o", "Acquire::file::Copy=true", "download", "greet-data").returncode, 0)
        for name in ("InRelease", "Release.gpg"):
            (public / "dists" / "d" / name).unlink()
        unsigned = Apt(self.farm.directory / "apt3", line)("update", "--error-on=any")
        self.assertIn("is not signed", unsigned.stderr)
        self.assertEqual(unsigned.returncode, 100)

    def _install_rpm(self) -> None:
        public = self.master / "repos" / "r" / "public"

        def dnf(name: str) -> "subprocess.CompletedProcess[str]":
            client = Dnf(self.farm.directory / name, f"file://{public}")
            config = self.farm.directory / name / "dnf.conf"
            checks = f"gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{self.master}/keys/farm.asc"
            config.write_text(config.read_text().replace("gpgcheck=0", checks))
            return client("install", "hail")

        installed = dnf("dnf")
        self.assertEqual(installed.returncode, 0, installed.stdout + installed.stderr)
        self.assertEqual((self.farm.directory / "dnf/root/usr/share/hail/hail.txt").read_text(), "hail\n")
        (package,) = (public / "packages").glob("hail-*.rpm")
        package.write_bytes(package.read_bytes()[:-1] + b"?")
        self.assertNotEqual(dnf("dnf2").returncode, 0)
        (public / "repodata" / "repomd.xml.asc").unlink()
        self.assertNotEqual(dnf("dnf3").returncode, 0)

    def _no_secret_key(self) -> None:
        """
        Check that the secret number of the key is nowhere in the master's directory.
        """
        exported = self.key.gpg("--export-secret-keys")
        # The last part of the first packet: 32 bytes, and a checksum of two (RFC 9580, 5.5.3).
        length = exported[1] + 2 if exported[0] & 3 == 0 else 0
        secret = exported[length - 34 : length - 2]
        self.assertEqual(len(secret), 32)
        self.assertNotIn(secret, self.key.public(()))
        needles = (secret, secret.hex().encode(), base64.b64encode(secret)[2:-4], b"PGP PRIVATE KEY")
        searched = 0
        for path in self.master.rglob("*"):
            if path.is_file() and not path.is_symlink():
                contents = path.read_bytes()
                searched += 1
                self.assertFalse([each for each in needles if each in contents], path)
        self.assertGreater(searched, 20)

    def test_watch(self) -> None:
        """
        Promise 9.7: with sign="auto", a signer that runs signs what fits its rules, and that becomes public.
        """
        self.configure("auto")
        self.farm.start()
        self.farm.submit("r", self.srpm())
        self.wait_for(r="needsign")
        environment = {**self.farm.env, "GNUPGHOME": str(self.key.path)}
        argv = [str(BIN / "buildbot-lite"), "package", "sign", "--watch", "--key", self.key.fingerprint]
        argv += ["--rule", f"submitter=r,arch={self.machine}", "--furlfile", self.string("sign", "r")]
        with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as watching:
            self.addCleanup(watching.kill)
            self.wait_for(r="finished")
            watching.kill()
        self.assertTrue((self.master / "repos/r/public/repodata/repomd.xml.asc").exists())
