"""
A tortured farm that builds packages: two targets, one of which is published at once, and one that waits for signatures.
"""

import subprocess
from pathlib import Path

from test.packages.keys import GnupgHome
from test.processes.farm import WORDS, Client, until
from test.processes.test_packages import CHANGELOG, CONTROL, RULES

from .schedules import SLAVES
from .tortured_farm import TorturedFarm

OPEN, SIGNED = "open", "signed"
TARGETS = (OPEN, SIGNED)
GOOD, BAD = "good", "bad"
BUILDS = "package-builds"
"""The witness of builds: lines with the directory in which a package was built, and its name."""


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

    def _config_head(self) -> str:
        slaves = ", ".join(f"slave.BuildSlave({name!r}, {options})" for name, options in self.slave_options.items())
        return (
            f"{WORDS}from buildbot_lite.packages import DebTarget, Plain\n"
            f"c['location'] = ['127.0.0.1:9']\nc['minspace'] = 0\nc['slaves'] = [{slaves}]\nc['maxRetries'] = 3\n"
            f"common = {{'root': Plain(), 'slavenames': {list(SLAVES)!r}}}\n"
            "c['targets'] = [\n"
            f"    DebTarget('{OPEN}', arches=['{self.arch}', 'all'], repository='repos/{OPEN}', versions=2,\n"
            "              **common),\n"
            f"    DebTarget('{SIGNED}', arches=['{self.arch}'], repository='repos/{SIGNED}', sign='manual',\n"
            "              sign_key='keys/farm.asc', **common),\n"
            "]\n"
        )

    def grant_strings(self) -> None:
        """
        Make the strings to administrate, to sign and to push.
        """
        for verb in ("sign", "push"):
            done = self.command("grant", verb, str(self.master_directory), SIGNED)
            assert done.code == 0, done
            self.strings[verb] = self.private_furl(done.out.decode().strip())
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
        words = [
            "env",
            f"GNUPGHOME={self.key.path}",
            self.program("buildbot-lite"),
            "package",
            "sign",
            "--all",
            "--yes",
        ]
        words += ["--key", self.key.fingerprint, "--furlfile", self.strings["sign"]]
        client = Client(words, self.env, self.clients_directory, None)
        self._clients.append(client)
        return client

    def source(self, name: str, version: str, kind: str, seconds: str) -> bytes:
        """
        An archive of a source package, whose build notes that it begins, and takes that long.
        """
        place = self.directory / "sources" / f"{name}-{version}"
        tree = place / name
        (tree / "debian" / "source").mkdir(parents=True)
        end = "true" if kind == GOOD else "false"
        script = f'echo "$$PWD {name} {version}" >>$$WITNESS/{BUILDS}; sleep {seconds}; {end}'
        for path, text in {
            "control": CONTROL.format(more=""),
            "changelog": CHANGELOG.replace("1.0", version),
            "rules": RULES.replace("{script}", script),
            "source/format": "3.0 (native)\n",
        }.items():
            (tree / "debian" / path).write_text(text.replace("greet", name))
        (tree / "debian" / "rules").chmod(0o755)
        self.run(f"cd {place} && dpkg-source --build {name} >/dev/null && tar -cf source.tar {name}_{version}*")
        return (place / "source.tar").read_bytes()

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
        self.key.remove()
        super().close()
