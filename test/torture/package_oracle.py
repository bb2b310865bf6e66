"""
The oracle of packages: what every job, repository and result must be after a campaign, whatever happened in it.
"""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from .package_farm import BUILDS, GOOD, OPEN, SIGNED, TARGETS, PackageFarm

LOSSES = ("jobs", "ends", "reasons", "built twice", "index", "files", "half-made", "published", "withdrawn", "results")
_SUCCESS = (0, 1)
_EXPLAINED = re.compile(
    r"tried again|was lost|is gone|is not there any more|interrupted|lease|died|killed|cancelled|ended|restarted"
    r"|rebooted|other bytes|other contents|No space|disk|exit code|is made by"
)


@define
class PackageVerdict:
    """
    The number of right things by kind, and the sentences about wrong ones.
    """

    kept: Counter[str] = field(factory=Counter)
    lost: list[tuple[str, str]] = field(factory=list)

    def note(self, kind: str, right: bool, sentence: str) -> None:
        """
        Record one comparison.
        """
        if right:
            self.kept[kind] += 1
        else:
            self.lost.append((kind, sentence))

    def __str__(self) -> str:
        kinds = Counter(kind for kind, _ in self.lost)
        lines = ["kept, lost:", *(f"  {self.kept[kind]:5} {kinds[kind]:5} {kind}" for kind in LOSSES)]
        return "\n".join([*lines, *(f"LOST {kind}: {sentence}" for kind, sentence in self.lost)])


def judge_packages(
    farm: PackageFarm, submitted: Mapping[str, tuple[str, str, str, str]], acknowledged: Mapping[int, str]
) -> PackageVerdict:
    """
    Compare everything.  *submitted*: target, name, version and kind, by client.  *acknowledged*: client by job.
    """
    verdict = PackageVerdict()
    _judge_jobs(farm, verdict, submitted, acknowledged)
    _judge_builds(farm, verdict)
    for target in TARGETS:
        for kind in ("build", "public"):
            _judge_repository(farm, verdict, target, kind)
        snapshots = farm.target_place(target) / "snapshots"
        hidden = [each.name for each in snapshots.iterdir() if each.name.startswith(".")] if snapshots.exists() else []
        verdict.note("half-made", not hidden, f"{target}: {hidden}")
    _judge_results(farm, verdict)
    return verdict


def _judge_jobs(
    farm: PackageFarm,
    verdict: PackageVerdict,
    submitted: Mapping[str, tuple[str, str, str, str]],
    acknowledged: Mapping[int, str],
) -> None:
    rows = farm.rows("select id, target, name, version, state, reason, history from package_jobs")
    jobs = {row[0]: row for row in rows}
    for number, client in acknowledged.items():
        verdict.note("jobs", number in jobs and jobs[number][1:4] == submitted[client][:3], f"{number} is not {client}")
    kinds = {(target, name, version): kind for target, name, version, kind in submitted.values()}
    public = {target: _snapshot(farm, target, "public") for target in TARGETS}
    build = {target: _snapshot(farm, target, "build") for target in TARGETS}
    waiting: dict[str, set[str]] = {target: set() for target in TARGETS}
    was_public: dict[str, set[str]] = {target: set() for target in TARGETS}
    for number, target, name, version, state, reason, text in rows:
        history = [each for each, _ in json.loads(text)]
        good = kinds[target, name, version] == GOOD
        ends = state in ("finished", "failed", "killed") or (target == SIGNED and state == "needsign")
        verdict.note("ends", ends, f"job {number} is {state}: {reason}")
        verdict.note("ends", good or state in ("failed", "killed"), f"job {number} cannot be built, and is {state}")
        if state == "failed":
            # One that cannot be built may fail, or be lost before that.
            verdict.note("reasons", not good or bool(_EXPLAINED.search(reason)), f"job {number} failed: {reason!r}")
        packages = {
            f"{name}_{version}_{farm.arch}.deb",
            *([f"{name}-data_{version}_all.deb"] if target == OPEN else []),
        }
        if "pushed" in history:
            was_public[target] |= packages
            verdict.note("published", state == "finished", f"job {number} was pushed, and is {state}")
        elif state == "needsign":
            waiting[target] |= packages
            verdict.note("published", packages <= build[target].keys(), f"{packages} of job {number} are not in build")
    for target in TARGETS:
        early = public[target].keys() - was_public[target]
        verdict.note("published", not early, f"{target}: {early} are public, and no job says so")
        left = build[target].keys() - waiting[target] - public[target].keys()
        verdict.note("withdrawn", not left, f"{target}: {left} are in build, and no job needs them")
    versions = Counter(name.partition("_")[0] for name in public[OPEN])
    verdict.note("published", all(count <= 2 for count in versions.values()), f"too many versions: {versions}")
    latest = {name for name in was_public[SIGNED] if name not in public[SIGNED]}
    verdict.note("published", not latest, f"{latest} were pushed, and are not public")


def _judge_builds(farm: PackageFarm, verdict: PackageVerdict) -> None:
    """
    Each build has run its command once at most, and each request has one build that succeeded at most.
    """
    ran = Counter(farm.witnessed(BUILDS))
    builds: Counter[tuple[str, str, str]] = Counter()
    successes: Counter[int] = Counter()
    rows = farm.rows(
        "select b.builder, s.properties, b.request, b.result from builds b join requests r on r.id = b.request "
        "join buildsets s on s.id = r.buildset"
    )
    for builder, properties, request, result in rows:
        said = json.loads(properties)
        name, version = (
            said[each][0] if isinstance(said[each], list) else said[each] for each in ("package", "package_version")
        )
        builds[builder, name, version] += 1
        successes[request] += result in _SUCCESS
    for line, count in ran.items():
        place, name, version = line.split()
        builder = next((each for each, _, _ in builds if f"/{each}/" in place), place)
        verdict.note(
            "built twice",
            count <= builds[builder, name, version],
            f"{line}: {count} of {builds[builder, name, version]}",
        )
    for request, count in successes.items():
        verdict.note("built twice", count <= 1, f"request {request} has {count} builds that succeeded")


def _judge_repository(farm: PackageFarm, verdict: PackageVerdict, target: str, kind: str) -> None:
    tree = farm.target_place(target) / kind
    packages = _snapshot(farm, target, kind)
    if not tree.exists():
        return
    for index in sorted(tree.glob("dists/*/main/*/Packages.gz")):
        text = gzip.decompress(index.read_bytes()).decode()
        plain = index.with_suffix("").read_text()
        verdict.note("index", text == plain, f"{index} differs from the plain one")
        names = re.findall(r"^Filename: pool/(.*)$", text, re.MULTILINE)
        verdict.note("index", set(names) == packages.keys(), f"{index}: {set(names) ^ packages.keys()}")
        digests = re.findall(r"^SHA256: (.*)$", text, re.MULTILINE)
        for name, digest in zip(names, digests, strict=True):
            path = tree / "pool" / name
            right = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest == packages[name]
            verdict.note("files", right, f"{path}")
    for release in tree.glob("dists/*/Release"):
        listed = re.findall(r"^ ([0-9a-f]{64}) +\d+ (.*)$", release.read_text(), re.MULTILINE)
        for digest, name in listed:
            found = hashlib.sha256((release.parent / name).read_bytes()).hexdigest()
            verdict.note("index", found == digest, f"{release} lists another {name}")
        if (target, kind) == (SIGNED, "public"):
            verdict.note("index", (release.parent / "InRelease").exists(), f"{release} is not signed")


def _judge_results(farm: PackageFarm, verdict: PackageVerdict) -> None:
    for sums in (farm.master_directory / "packages").glob("*/*/*/*/SHA256SUMS"):
        if any(part.startswith(".") for part in sums.relative_to(farm.master_directory).parts):
            continue
        for line in sums.read_text().splitlines():
            digest, _, name = line.partition("  ")
            path = sums.parent / name
            right = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
            verdict.note("results", right, str(path))


def _snapshot(farm: PackageFarm, target: str, kind: str) -> Mapping[str, str]:
    """
    The packages of the current snapshot, with their digests.
    """
    link = farm.target_place(target) / kind
    if not link.exists():
        return {}
    record: Path = link.resolve().parent / "snapshot.json"
    return {name: digest for name, (_, digest) in json.loads(record.read_bytes())["packages"].items()}
