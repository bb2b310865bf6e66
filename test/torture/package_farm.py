"""
A tortured farm that builds packages, for four targets::

    open      .deb, published at once, the latest two versions of each and the one published last
    signed    .deb, waits for people's signatures
    auto      .deb, signed by a program of the signer's
    rpms      .rpm, published at once
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from buildbot_lite.packages.formats.git_request import request_text
from test.packages.keys import GnupgHome
from test.processes.farm import WORDS, Client, until
from test.processes.git_server import GitServer
from test.processes.test_packages import CHANGELOG, native

from .schedules import SLAVES
from .tortured_farm import TorturedFarm

OPEN, SIGNED, AUTO, RPMS = "open", "signed", "auto", "rpms"
TARGETS = (OPEN, SIGNED, AUTO, RPMS)
VERSIONS = 2
"""``versions=`` of the open target."""
FROM_GIT = (OPEN, RPMS)
"""Targets that take sources from git."""
GOOD, BAD = "good", "bad"
BUILDS = "package-builds"
"""The witness of builds: lines with the directory in which a package was built, and its name."""
LONGEST_PAUSE = 60.0
"""Seconds after which a job that the machine keeps from going on is tried again, at most."""
SMALL_FARM = f"""\
from buildbot_lite.packages.building import checkout_limit
from buildbot_lite.packages.service import target_troubles
checkout_limit.RESERVE = 16 << 20
target_troubles.FIRST_PAUSE, target_troubles.LONGEST_PAUSE = 5.0, {LONGEST_PAUSE}
"""
"""The disks of the farm are smaller than what a checkout leaves free, and a campaign is shorter than the longest pauses
of a target that is stuck."""
MACHINE = os.uname().machine
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: greets
License: MIT
%global debug_package %{{nil}}
%description
A package for tests.
%package words
Summary: what it says
BuildArch: noarch
%description words
A package for tests.
%build
echo "$PWD {name} {version}-1" >>$WITNESS/{builds}; sleep {seconds}; {end}
%install
install -d %{{buildroot}}/usr/bin %{{buildroot}}/usr/share/{name}
uname -m >%{{buildroot}}/usr/bin/{name}
echo hello >%{{buildroot}}/usr/share/{name}/words
%files
/usr/bin/{name}
%files words
/usr/share/{name}
%changelog
* Sat Nov 28 2026 Farm <farm@example.org> - {version}-1
- First.
"""


class Package(NamedTuple):
    """
    A source package of a target.
    """

    target: str
    name: str
    version: str


class PackageFarm(TorturedFarm):
    """
    A farm with the key of a signer, who is on another machine.  *disks*, *grace*: as for `TorturedFarm`.
    """

    def __init__(self, *, disks: bool, grace: float) -> None:
        super().__init__(disks=disks, grace=grace)
        words = ["dpkg", "--print-architecture"]
        self.arch = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        self.key = GnupgHome()
        (self.master_directory / "keys").mkdir()
        (self.master_directory / "keys" / "farm.asc").write_bytes(self.key.public())
        self.strings: dict[str, str] = {}
        tac = self.master_directory / "master.tac"
        tac.write_text(SMALL_FARM + tac.read_text())
        self.git = GitServer(self.directory / "repositories")

    def _config_head(self) -> str:
        slaves = ", ".join(f"slave.BuildSlave({name!r}, {options})" for name, options in self.slave_options.items())
        return (
            f"{WORDS}from buildbot_lite.packages import DebTarget, Plain, RpmTarget\n"
            f"c['location'] = ['127.0.0.1:9']\nc['minspace'] = 0\nc['slaves'] = [{slaves}]\nc['maxRetries'] = 3\n"
            f"common = {{'root': Plain(), 'slavenames': {list(SLAVES)!r}}}\n"
            f"sources = '{self.git.address}/{{name}}.git'\n"
            "c['targets'] = [\n"
            f"    DebTarget('{OPEN}', arches=['{self.arch}', 'all'], repository='repos/{OPEN}', versions={VERSIONS},\n"
            "              sources=sources, **common),\n"
            f"    DebTarget('{SIGNED}', arches=['{self.arch}'], repository='repos/{SIGNED}', sign='manual',\n"
            "              sign_key='keys/farm.asc', **common),\n"
            f"    DebTarget('{AUTO}', arches=['{self.arch}'], repository='repos/{AUTO}', sign='auto',\n"
            "              sign_key='keys/farm.asc', **common),\n"
            f"    RpmTarget('{RPMS}', ['{MACHINE}'], repository='repos/{RPMS}', sources=sources, **common),\n"
            "]\n"
        )

    def grant_strings(self) -> None:
        """
        Make the strings to administrate, to sign and to push.
        """
        for verb, target in (("sign", SIGNED), ("push", SIGNED), ("sign", AUTO)):
            done = self.command("grant", verb, str(self.master_directory), target)
            assert done.code == 0, done
            self.strings[f"{verb} {target}"] = self.private_furl(done.out.decode().strip())
        admin = (self.master_directory / "private" / "admin.furl").read_text().split()[-1]
        self.strings["admin"] = self.private_furl(admin)

    def verb(self, *words: str, by: str = "admin") -> Client:
        """
        Start ``buildbot-lite package`` with the string *by*.
        """
        return self.client("buildbot-lite", "package", *words, "--furlfile", self.strings[by])

    def sign(self) -> Client:
        """
        Sign all that waits, on the signer's machine.
        """
        return self._signer("--all", "--yes", by=f"sign {SIGNED}")

    def watch_signing(self) -> Client:
        """
        Start the program that signs what waits.
        """
        return self._signer("--watch", by=f"sign {AUTO}")

    def _signer(self, *words: str, by: str) -> Client:
        program = ["env", f"GNUPGHOME={self.key.path}", self.program("buildbot-lite"), "package", "sign", *words]
        words = (*program, "--key", self.key.fingerprint, "--furlfile", self.strings[by])
        client = Client(list(words), self.env, self.clients_directory, None)
        self._clients.append(client)
        return client

    def chain(self, target: str, files: Sequence[Path]) -> Client:
        """
        Submit source packages as a chain.
        """
        words = ["package", "build", "--no-wait", "--furlfile", self.private_furl(self.furl(target))]
        return self.client("buildbot-lite", *words, *map(str, files))

    def source(self, package: Package, kind: str, seconds: str) -> Path:
        """
        A source package, whose build notes that it begins, and takes that long: a .dsc, or a source RPM.
        """
        place = self.directory / "sources" / f"{package.name}-{package.version}"
        for path, text in self._files(package, kind, seconds).items():
            file = place / package.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if text.startswith("#!") else 0o644)
        if package.target == RPMS:
            define = f"--define '_topdir {place}' --define '_srcrpmdir {place}'"
            self.run(f"cd {place} && rpmbuild --quiet {define} -bs {package.name}/{package.name}.spec")
            return place / f"{package.name}-{package.version}.src.rpm"
        self.run(f"cd {place} && dpkg-source --build {package.name} >/dev/null")
        return place / f"{package.name}_{package.version}.dsc"

    def archive(self, source: Path) -> bytes:
        """
        What is submitted of `source`.
        """
        if source.suffix == ".rpm":
            return source.read_bytes()
        self.run(f"cd {source.parent} && tar -cf source.tar {source.stem}*")
        return (source.parent / "source.tar").read_bytes()

    def tag(self, package: Package, kind: str, seconds: str) -> bytes:
        """
        Commit the source to the git repository of that name, tag it with its version, and return what is submitted.
        """
        self.git.commit(package.name, self._files(package, kind, seconds), package.version)
        return request_text(package.name, package.version)

    def _files(self, package: Package, kind: str, seconds: str) -> Mapping[str, str]:
        name, version, end = package.name, package.version, "true" if kind == GOOD else "false"
        if package.target == RPMS:
            plain = version.removesuffix("-1")
            spec = SPEC.format(name=name, version=plain, builds=BUILDS, seconds=seconds, end=end)
            return {f"{name}.spec": spec}
        script = f'echo "$$PWD {name} {version}" >>$$WITNESS/{BUILDS}; sleep {seconds}; {end}'
        changelog = CHANGELOG.replace("1.0", version).replace("greet", name)
        return {**native(script, name=name), "debian/changelog": changelog}

    def packages_of(self, package: Package) -> set[str]:
        """
        The names of the packages that are made of a source package.
        """
        target, name, version = package
        if target == RPMS:
            return {f"{name}-{version}.{MACHINE}.rpm", f"{name}-words-{version}.noarch.rpm"}
        data = [f"{name}-data_{version}_all.deb"] if target == OPEN else []
        return {f"{name}_{version}_{self.arch}.deb", *data}

    def target_place(self, target: str) -> Path:
        """
        The directory of a target's repositories.
        """
        return self.master_directory / "repos" / target

    def settle(self) -> None:
        """
        Wait until a start of the master is over.
        """
        until(lambda: self.master.ready in self.master.log, "the master is ready")

    def close(self) -> None:
        self.git.close()
        self.key.remove()
        super().close()
