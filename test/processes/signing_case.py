"""
A test case with the key of a signer who is on another machine.
"""

import subprocess
from pathlib import Path

from ..packages.keys import GnupgHome
from .farm import BIN, Done
from .test_packages import PackagesCase


class SigningCase(PackagesCase):
    """
    The key is in ``keys/farm.asc`` of the master's directory.
    """

    def setUp(self) -> None:
        super().setUp()
        self.key = GnupgHome()
        self.addCleanup(self.key.remove)
        self.strings: dict[tuple[str, str], str] = {}
        self.master = Path(self.farm.master_directory)
        (self.master / "keys").mkdir()
        (self.master / "keys" / "farm.asc").write_bytes(self.key.public())

    def string(self, verb: str, target: str) -> str:
        """
        Return a file with a string for *verb*.
        """
        if (verb, target) in self.strings:
            return self.strings[verb, target]
        done = self.farm.command("grant", verb, str(self.master), target)
        self.assertEqual(done.code, 0, done.err)
        path = self.strings[verb, target] = self.farm.private_furl(done.out.decode().strip())
        return path

    def signer(self, *words: str, target: str, key: GnupgHome | None = None) -> Done:
        """
        Run ``package sign`` with the environment of the signer's machine.
        """
        home = key or self.key
        environment = {**self.farm.env, "GNUPGHOME": str(home.path)}
        argv = [str(BIN / "buildbot-lite"), "package", "sign", *words, "--yes", "--key", home.fingerprint]
        argv += ["--furlfile", self.string("sign", target)]
        ran = subprocess.run(argv, env=environment, capture_output=True, timeout=120, check=False)
        return Done(ran.returncode, ran.stdout, ran.stderr.decode())
