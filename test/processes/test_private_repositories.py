"""
Signed repositories of a private farm, with the lines that the pages of their targets offer.
"""

import re
import shutil
import tempfile
from html import unescape
from pathlib import Path
from typing import ClassVar

from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.rpm_metadata import RpmMetadata
from buildbot_lite.packages.repositories.snapshots import PUBLIC

from ..asking_again import got
from ..needs import needs
from ..packages.built_packages import Apt, Dnf, deb, rpm
from ..packages.keys import GnupgHome
from .farm import Farm
from .test_web_process import WebProcessCase

TARGETS = """\
c['www'] = {'port': PORT, 'private': True}
c['buildbotURL'] = 'http://127.0.0.1:PORT/'
from buildbot_lite.packages import DebTarget, Plain, RpmTarget
signed = {'root': Plain(), 'sign': 'manual', 'sign_key': 'keys/farm.asc'}
c['targets'] = [DebTarget('d', ['amd64'], repository='repos/d', **signed),
    RpmTarget('r', ['x86_64'], repository='repos/r', **signed)]
"""


@needs("apt-ftparchive", "apt-get", "createrepo_c", "dnf", "dpkg-deb", "gpg", "rpmbuild", "rpmkeys")
class PrivateRepositoryTests(WebProcessCase):
    key: ClassVar[GnupgHome]

    @classmethod
    def setUpClass(cls) -> None:
        """
        Nothing where a program is missing.
        """
        if not getattr(cls, "skip", ""):
            cls.key = GnupgHome("rsa2048")
            cls.addClassCleanup(cls.key.remove)
            super().setUpClass()

    @classmethod
    def make(cls) -> Farm:
        farm = super().make().config(TARGETS.replace("PORT", str(cls.port)))
        (farm.master_directory / "keys").mkdir()
        (farm.master_directory / "keys" / "farm.asc").write_bytes(cls.key.public())
        return farm

    def setUp(self) -> None:
        super().setUp()
        # Not in the farm's directory, which is searched for strings.
        self.client = Path(tempfile.mkdtemp(prefix="client-"))
        self.addCleanup(shutil.rmtree, self.client)
        self.client.chmod(0o755)
        granted = self.farm.command("grant", "watch", str(self.farm.master_directory))
        self.assertEqual(granted.code, 0, granted)
        self.string = granted.out.decode().strip()
        self.start_web()

    def page(self, path: str) -> tuple[int, bytes]:
        """
        Status and body of what is at *path* for the holder of the string.
        """
        answer = got(self.port, f"/{path}", Authorization=f"Bearer {self.string}")
        return answer.status, answer.body

    def offered(self, target: str) -> tuple[str, dict[str, str]]:
        """
        The commands that the page of *target* offers for copying, with the string in its place, and the texts of the
        files that they write, by their paths.
        """
        status, body = self.page(f"packages/targets/{target}")
        text = body.decode()
        self.assertEqual(status, 200, text)
        self.assertIn(f"<code>{self.key.fingerprint}</code>", text)
        (commands,) = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", text, re.DOTALL)
        said = unescape(commands).replace("STRING", self.string)
        return said, dict(re.findall(r"^sudo .*?(\S+) <<'END'\n(.*?)^END$", said, re.DOTALL | re.MULTILINE))

    def test_apt(self) -> None:
        """
        Promise 9.6, 9.7: apt installs from a private farm with the key, the source and the password that the target's
        page offers, and with no other password.
        """
        files = PackageRepository(str(self.farm.master_directory / "repos" / "d"), DebianMetadata("d", ["amd64"]))
        name = files.prepare(PUBLIC, [str(deb(self.farm.directory / "built", "greet"))])
        (release,) = files.to_sign(name).values()
        files.publish(name, {"InRelease": self.key.gpg("--digest-algo", "SHA256", "--clearsign", stdin=release)})
        commands, files_of_apt = self.offered("d")
        self.assertIn(f"--user farm:{self.string} --fail --output /etc/apt/keyrings/d.gpg", commands)
        source, password = (
            files_of_apt[f"/etc/apt/{each}"] for each in ("sources.list.d/d.sources", "auth.conf.d/d.conf")
        )
        keyring = self.client / "d.gpg"
        keyring.write_bytes(self.page("repositories/d/key.gpg")[1])
        self.assertEqual(keyring.read_bytes(), self.key.public(armor=()))
        apt = Apt(self.client / "apt", source.replace("/etc/apt/keyrings/d.gpg", str(keyring)))
        refused = apt("update", "--error-on=any")
        self.assertIn("401", refused.stderr)
        for text, code in ((password.replace(self.string, f"{self.string[:-4]}abcd"), 100), (password, 0)):
            (apt.directory / "auth.conf").write_text(text)
            updated = apt("update", "--error-on=any")
            self.assertEqual(updated.returncode, code, updated.stderr)
        got = apt("download", "greet")
        self.assertEqual(got.returncode, 0, got.stderr)

    def test_dnf(self) -> None:
        """
        Promise 9.6, 9.7: the same of dnf, which gets the key from the web process, too.
        """
        files = PackageRepository(str(self.farm.master_directory / "repos" / "r"), RpmMetadata())
        package = rpm(self.farm.directory / "built", "greet")
        self.key.gpg("--version")
        self.farm.run(
            f"env GNUPGHOME={self.key.path} rpmsign --define '_gpg_name {self.key.fingerprint}' "
            f"--define '__gpg /usr/bin/gpg' --addsign {package}"
        )
        name = files.prepare(PUBLIC, [str(package)])
        signature = self.key.gpg("--armor", "--detach-sign", stdin=files.to_sign(name)["repomd.xml"])
        files.publish(name, {"repomd.xml.asc": signature})
        repository = self.offered("r")[1]["/etc/yum.repos.d/r.repo"]
        self.assertIn(f"gpgkey=http://127.0.0.1:{self.port}/repositories/r/key.asc\n", repository)
        for number, (text, works) in enumerate(((repository.replace("password=", "#"), False), (repository, True))):
            dnf = Dnf(self.client / f"dnf{number}", "")
            config = dnf.directory / "dnf.conf"
            config.write_text(f"{config.read_text().partition('[farm]')[0]}{text}\nproxy=_none_\n")
            installed = dnf("install", "greet")
            self.assertEqual(installed.returncode == 0, works, installed.stdout + installed.stderr)
