"""
Kills of the master at random moments while packages are signed and published.

    .venv/bin/python -m test.torture.signing_kills [--seed N] [--kills M]

A farm has a target of each family, whose packages people sign.  Again and again everybody signs and pushes what waits,
and the master is killed meanwhile, after a random time.  After each kill each repository is whole and signed, and has
the packages of the jobs that were published, or of those that were pushed; at the end everything is published, once.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

from attrs import define, field

from buildbot_lite.packages.keys.verification import TargetKey
from test.needs import lacking
from test.packages.keys import GnupgHome
from test.processes.farm import Client, Farm, until
from test.processes.test_packages import native

from .package_farm import MACHINE, RPMS, SIGNED, SPEC
from .package_oracle import judge_repository
from .verdict import Verdict

PROGRAMS = ("apt-ftparchive", "createrepo_c", "dpkg-buildpackage", "gpg", "gpgv", "rpmbuild", "rpmkeys")
TARGETS = (SIGNED, RPMS)


class SigningFarm(Farm):
    """
    The farm, with the key of a signer who is on another machine.
    """

    def __init__(self) -> None:
        super().__init__("bot1")
        words = ["dpkg", "--print-architecture"]
        self.arch = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        self.key = GnupgHome()
        (self.master_directory / "keys").mkdir()
        (self.master_directory / "keys" / "farm.asc").write_bytes(self.key.public())
        self.config(
            "from buildbot_lite.packages import DebTarget, Plain, RpmTarget\n"
            "common = {'root': Plain(), 'sign': 'manual', 'sign_key': 'keys/farm.asc'}\n"
            "c['targets'] = [\n"
            f"    DebTarget('{SIGNED}', ['{self.arch}'], repository='repos/{SIGNED}', **common),\n"
            f"    RpmTarget('{RPMS}', ['{MACHINE}'], repository='repos/{RPMS}', **common),\n"
            "]\n"
        )
        self.submitted = 0

    def submit_both(self) -> None:
        """
        Submit a package to each target, and wait until both wait for signatures.
        """
        self.submitted += 1
        name = f"p{self.submitted}"
        place = self.directory / name
        (place / "debian" / "source").mkdir(parents=True)
        for path, text in native(name=name).items():
            (place / path).write_text(text)
        (place / "debian" / "rules").chmod(0o755)
        spec = SPEC.format(name=name, version="1.0", builds="builds", seconds="0", end="true")
        (place / f"{name}.spec").write_text(spec)
        define = f"--define '_topdir {place}' --define '_srcrpmdir {self.directory}'"
        self.run(f"rpmbuild --quiet {define} -bs {place}/{name}.spec; rm -rf {place}/[B-Z]* {place}/{name}.spec")
        self.run(f"dpkg-source --build {name} >/dev/null && tar -cf {name}.tar {name}_1.0*")
        for target, file in ((SIGNED, f"{name}.tar"), (RPMS, f"{name}-1.0-1.src.rpm")):
            done = self.submit(target, (self.directory / file).read_bytes())
            assert done.code == 0, done
        until(lambda: not {"waiting", "building", "repowait"} & set(self.states().values()), "both wait for signatures")

    def states(self) -> dict[int, str]:
        """
        The state of each job.
        """
        return dict(self.rows("select id, state from package_jobs"))

    def sign_and_push(self, target: str) -> Client:
        """
        Start a signer of *target*, who pushes at once.
        """
        admin = self.private_furl((self.master_directory / "private" / "admin.furl").read_text().split()[-1])
        words = f"--all --target {target} --furlfile {admin}"
        package = f"{self.program('buildbot-lite')} package"
        script = f"{package} sign --yes --key {self.key.fingerprint} {words}; {package} push {words}"
        env = {**self.env, "GNUPGHOME": str(self.key.path)}
        client = Client(["/bin/sh", "-c", script], env, self.clients_directory, None)
        self._clients.append(client)
        return client

    def packages(self, target: str) -> set[str]:
        """
        The packages in the public index of *target*; raises unless all that clients see is whole and signed.
        """
        public = self.target_place(target) / "public"
        if not public.exists():
            return set()
        index = public / ("repodata/repomd.xml" if target == RPMS else f"dists/{target}/Release")
        self.key.gpg("--verify", f"{index}.{'asc' if target == RPMS else 'gpg'}", str(index))
        verdict = Verdict()
        judge_repository(self, verdict, target, "public")
        assert not verdict.lost, verdict.lost
        if target == RPMS:
            key = TargetKey(str(self.master_directory / "keys" / "farm.asc"), "keys/farm.asc")
            key.check_packages([str(path) for path in (public / "packages").iterdir()])
        return set(json.loads((public.resolve().parent / "snapshot.json").read_bytes())["packages"])

    def target_place(self, target: str) -> Path:
        """
        The directory of a target's repositories.
        """
        return self.master_directory / "repos" / target

    def close(self) -> None:
        self.key.remove()
        super().close()


@define
class KillCampaign:
    """
    The kills on *farm*.  *at*: what each kill found, by the states of the jobs that it met.  *longest*: the seconds
    that signing and pushing take here without a kill.
    """

    farm: SigningFarm
    random: Random
    at: Counter[str] = field(factory=Counter)
    longest: float = 0.0

    def run(self, kills: int) -> None:
        """
        Kill the master that often, and look at everything after each kill.
        """
        self.farm.submit_both()
        began = time.monotonic()
        for client in [self.farm.sign_and_push(target) for target in TARGETS]:
            client.wait()
        self.longest = time.monotonic() - began
        for _ in range(kills):
            if "needsign" not in self.farm.states().values():
                self.farm.submit_both()
            self._kill_once()
        self._finish()

    def _kill_once(self) -> None:
        before = {target: self.farm.packages(target) for target in TARGETS}
        clients = [self.farm.sign_and_push(target) for target in TARGETS]
        time.sleep(self.longest * self.random.uniform(0.2, 1.1))
        self.farm.master.kill()
        for client in clients:
            client.process.kill()
            client.process.wait()
        met = sorted(self.farm.states().items())
        now = {target: self.farm.packages(target) for target in TARGETS}
        for target in TARGETS:
            # Nothing that was published goes, and what comes belongs to one job.
            assert before[target] <= now[target], (before, now, met)
            new = {name.split("_")[0].split("-")[0] for name in now[target] - before[target]}
            assert len(new) <= 1, (new, met)
            for number, state, name in self.farm.rows(
                "select id, state, name from package_jobs where target = ?", target
            ):
                if state in ("pushed", "finished"):
                    assert any(each.startswith(name) for each in now[target]), (number, state, now)
        self.at[", ".join(state for _, state in met[-2:])] += 1
        self.farm.start_master()

    def _finish(self) -> None:
        def finished() -> bool:
            for client in [self.farm.sign_and_push(target) for target in TARGETS]:
                client.wait()
            return set(self.farm.states().values()) == {"finished"}

        until(finished, "every job is published")
        for target in TARGETS:
            jobs = self.farm.rows("select name, history from package_jobs where target = ?", target)
            each = 1 if target == SIGNED else 2
            assert len(self.farm.packages(target)) == each * len(jobs), (jobs, self.farm.packages(target))
            for name, text in jobs:
                states = [state for state, _ in json.loads(text)]
                assert states[-3:] == ["needsign", "pushed", "finished"], (name, states)


def kill_while_signed(seed: int, kills: int) -> Mapping[str, int]:
    """
    The campaign of *seed*; how often the master was killed while the last two jobs were in which states.
    """
    with SigningFarm() as farm:
        farm.start()
        campaign = KillCampaign(farm, Random(seed))
        campaign.run(kills)
        return campaign.at


def main() -> int:
    """
    Run the program.
    """
    parser = argparse.ArgumentParser(prog="python -m test.torture.signing_kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    if sentence := lacking(*PROGRAMS):
        sys.stdout.write(f"# without packages: {sentence}\n")
        return 0
    sys.stdout.write(f"# seed {options.seed}, {options.kills} kills\n")
    for states, count in kill_while_signed(options.seed, options.kills).items():
        sys.stdout.write(f"  {count:5} {states}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
