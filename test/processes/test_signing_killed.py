"""
A master that is killed with kill -9 while signatures are applied, and while what is signed becomes public.
"""

import json
import subprocess

from buildbot_lite.packages.keys.verification import TargetKey

from ..needs import needs
from .farm import until
from .gates import Gates
from .signing_case import SigningCase

SPEC = """\
Name: hail
Version: 1.0
Release: 1
Summary: hails
License: MIT
%global debug_package %{nil}
%description
For tests.
%package words
Summary: what it says
BuildArch: noarch
%description words
For tests.
%install
install -d %{buildroot}/usr/bin %{buildroot}/usr/share/hail
echo hail >%{buildroot}/usr/bin/hail
echo hello >%{buildroot}/usr/share/hail/words
%files
/usr/bin/hail
%files words
/usr/share/hail
"""
SIGNING = "buildbot_lite.packages.signing"
PLACES = (
    f"{SIGNING}.signature_store:SignatureStore.put",
    f"{SIGNING}.signed_files:SignedFiles.signed",
    f"{SIGNING}.signed_files:SignedFiles.sign_index",
    f"{SIGNING}.signing_round:SigningRound.finish",
    f"{SIGNING}.signing_round:SigningRound.push",
    f"{SIGNING}.signed_repository:run_repo_script",
    "buildbot_lite.packages.repositories.snapshots:SnapshotDirectory.complete",
    "buildbot_lite.packages.repositories.snapshots:SnapshotDirectory.publish",
    "buildbot_lite.packages.repositories.repository:PackageRepository._date",
    "buildbot_lite.packages.service.job_advance:JobAdvance._pushed",
)
WHILE_SIGNED = (
    "SignatureStore.put.after",
    "SignedFiles.signed.after",
    "SnapshotDirectory.complete.after",
    "SignedFiles.sign_index.after",
    "SigningRound.finish.after",
)
"""From the first signature to the record that everything is signed."""
WHILE_PUBLISHED = (
    "SigningRound.push.after",
    "PackageRepository._date.after",
    "SnapshotDirectory.publish.after",
    "JobAdvance._pushed.after",
    "signed_repository.run_repo_script.after",
)
"""From the record that it may become public to the last one of its job."""


@needs("createrepo_c", "gpg", "gpgv", "rpmbuild", "rpmkeys")
class KilledWhileSignedTests(SigningCase):
    """
    One job of two packages.
    """

    def setUp(self) -> None:
        machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
        self.target = (
            f'RpmTarget("t", ["{machine}"], root=Plain(), repository="repos/t", sign="manual", '
            'sign_key="keys/farm.asc", repo_script="push.sh")'
        )
        super().setUp()
        script = self.master / "push.sh"
        script.write_text("#!/bin/sh\necho pushed >>pushed\n")
        script.chmod(0o700)
        self.gates = Gates(self.farm)
        self.gates.install(PLACES)

    def test_each_seam(self) -> None:
        """
        Promise 9.7: a master that is killed between any two steps of a signature, of the record of it, or of publishing
        shows the old repository or the new one; after the next start the signer's command, repeated, does what is
        missing, and what was pushed becomes public by itself, once.
        """
        self.farm.start()
        done = self.farm.submit("t", self._srpm())
        self.assertEqual(done.code, 0, done.err)
        until(lambda: self._state() == "needsign", "the job waits for signatures")
        # While the master lives.
        for verb in ("sign", "push"):
            self.string(verb, "t")
        said = []
        for seam in WHILE_SIGNED:
            self.gates.die_at(seam)
            said.append(self.signer("--all", target="t").err)
            self.gates.wait_for_death(seam)
            self.assertFalse((self.master / "repos" / "t" / "public").exists(), seam)
            self.farm.start_master()
            self.assertEqual(self._state(), "needsign", seam)
        self.assertNotIn("signed already", said[0])
        self.assertIn("\n  1 of its 2 packages are signed already\n", said[1])
        self.assertIn("\n  2 of its 2 packages are signed already\n", said[2])
        last = self.signer("--all", target="t")
        self.assertEqual(last.code, 0, last)
        # All was recorded before the last death.
        self.assertRegex(last.err, r"\nnothing is left to sign: job 1 had all signatures before\.")
        self.gates.die_at(WHILE_PUBLISHED[0])
        pushed = self.farm.command("package", "push", "1", "--furlfile", self.string("push", "t"))
        self.assertNotEqual(pushed.code, 0, pushed)
        for seam, following in zip(WHILE_PUBLISHED, (*WHILE_PUBLISHED[1:], None), strict=True):
            self.gates.wait_for_death(seam)
            self._assert_whole(seam)
            if following is not None:
                self.gates.die_at(following)
            self.farm.master.spawn()
        until(lambda: self._state() == "finished", "the job is finished")
        self._assert_whole("the end")
        self.assertEqual((self.master / "pushed").read_text(), "pushed\n" * 2)
        self.assertEqual(self._history(), ["needsign", "pushed", "finished"])
        self.assertEqual(list((self.master / "packages/t/.signing/signed").glob("*")), [])

    def _state(self) -> str:
        ((state,),) = self.farm.rows("select state from package_jobs")
        return str(state)

    def _history(self) -> list[str]:
        ((text,),) = self.farm.rows("select history from package_jobs")
        return [state for state, _ in json.loads(text)][-3:]

    def _assert_whole(self, seam: str) -> None:
        """
        Check that clients see no repository, or one with signed packages and a signed index.
        """
        public = self.master / "repos" / "t" / "public"
        if not public.exists():
            self.assertIn(seam, WHILE_PUBLISHED[:2])
            return
        key = TargetKey(str(self.master / "keys" / "farm.asc"), "keys/farm.asc")
        packages = sorted((public / "packages").iterdir())
        self.assertEqual(len(packages), 2, seam)
        key.check_packages([str(each) for each in packages])
        index = public / "repodata" / "repomd.xml"
        self.key.gpg("--verify", f"{index}.asc", str(index))

    def _srpm(self) -> bytes:
        top = self.farm.directory / "srpm"
        top.mkdir()
        (top / "hail.spec").write_text(SPEC)
        define = f"--define '_topdir {top}' --define '_srcrpmdir {top}'"
        self.farm.run(f"rpmbuild --quiet {define} -bs {top}/hail.spec")
        return (top / "hail-1.0-1.src.rpm").read_bytes()
