"""
The oracle of packages: what every job, repository and result must be after a campaign, whatever happened in it.
"""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from buildbot_lite.packages.repositories.primary_metadata import read_primary

from .kept_versions import Publication, kept_packages
from .package_farm import AUTO, BUILDS, GOOD, OPEN, RPMS, SIGNED, TARGETS, VERSIONS, Package, PackageFarm
from .verdict import Verdict

LOSSES = ("jobs", "ends", "reasons", "built twice", "index", "files", "half-made", "published", "withdrawn", "results")
_SUCCESS = (0, 1)
_EXPLAINED = re.compile(
    r"tried again|was lost|is gone|is not there any more|interrupted|lease|died|killed|cancelled|ended|restarted"
    r"|rebooted|other bytes|other contents|No space|disk|exit code|is made by"
)


class Repositories(Protocol):
    """
    A farm, as far as its repositories are concerned.
    """

    def target_place(self, target: str) -> Path:
        """
        The directory of a target's repositories.
        """


def judge_packages(
    farm: PackageFarm,
    submitted: Mapping[Package, str],
    acknowledged: Mapping[int, Package],
    full: Sequence[tuple[float, float]],
) -> Verdict:
    """
    Compare everything.  *submitted*: the kind of each package.  *acknowledged*: the packages by job.  *full*: when a
    disk was full.
    """
    verdict = Verdict()
    _judge_jobs(farm, verdict, submitted, acknowledged, full)
    _judge_builds(farm, verdict)
    for target in TARGETS:
        for kind in ("build", "public"):
            judge_repository(farm, verdict, target, kind)
        snapshots = farm.target_place(target) / "snapshots"
        hidden = [each.name for each in snapshots.iterdir() if each.name.startswith(".")] if snapshots.exists() else []
        verdict.note("half-made", not hidden, f"{target}: {hidden}")
    _judge_results(farm, verdict)
    return verdict


def _judge_jobs(
    farm: PackageFarm,
    verdict: Verdict,
    submitted: Mapping[Package, str],
    acknowledged: Mapping[int, Package],
    full: Sequence[tuple[float, float]],
) -> None:
    rows = farm.rows("select id, target, name, version, state, reason, history from package_jobs")
    # Until the source is made of a tag, the version is "at" that.
    jobs = {row[0]: Package(row[1], row[2], row[3].removeprefix("at ")) for row in rows}
    for number, package in acknowledged.items():
        verdict.note("jobs", jobs.get(number) == package, f"{number} is not {package}, but {jobs.get(number)}")
    public = {target: _snapshot(farm, target, "public") for target in TARGETS}
    build = {target: _snapshot(farm, target, "build") for target in TARGETS}
    waiting: dict[str, set[str]] = {target: set() for target in TARGETS}
    was_public: dict[str, set[str]] = {target: set() for target in TARGETS}
    published: list[Publication] = []
    for number, target, _, _, state, reason, text in rows:
        history = [each for each, _ in json.loads(text)]
        good = submitted[jobs[number]] == GOOD
        ends = state in ("finished", "failed", "killed") or (target == SIGNED and state == "needsign")
        verdict.note("ends", ends, f"job {number} is {state}: {reason}")
        verdict.note("ends", good or state in ("failed", "killed"), f"job {number} cannot be built, and is {state}")
        if state == "failed":
            # One that cannot be built may fail, or be lost before that.
            # Not every program says that its disk is full.
            explained = bool(_EXPLAINED.search(reason)) or _met(json.loads(text), full)
            verdict.note("reasons", not good or explained, f"job {number} failed: {reason!r}")
        packages = farm.packages_of(jobs[number])
        if "pushed" in history:
            was_public[target] |= packages
            if target == OPEN:
                name, version = jobs[number].name, float(jobs[number].version)
                times: dict[str, float] = dict(reversed(json.loads(text)))
                since = times.get("needsign", times["pushed"])
                published.append(Publication(name, version, since, times["pushed"], frozenset(packages)))
            verdict.note("published", state == "finished", f"job {number} was pushed, and is {state}")
        elif state == "needsign":
            waiting[target] |= packages
            verdict.note("published", packages <= build[target].keys(), f"{packages} of job {number} are not in build")
    for target in TARGETS:
        early = public[target].keys() - was_public[target]
        verdict.note("published", not early, f"{target}: {early} are public, and no job says so")
        left = build[target].keys() - waiting[target] - public[target].keys()
        verdict.note("withdrawn", not left, f"{target}: {left} are in build, and no job needs them")
    must, may = kept_packages(published, VERSIONS)
    many = public[OPEN].keys() & was_public[OPEN] - may
    verdict.note("published", not many, f"{OPEN}: {many} are public, and later versions replaced them")
    for target in TARGETS:
        gone = (must if target == OPEN else was_public[target]) - public[target].keys()
        verdict.note("published", not gone, f"{target}: {gone} were pushed, and are not public")


def _met(history: Sequence[tuple[str, float]], full: Sequence[tuple[float, float]]) -> bool:
    """
    Whether a disk was full between a job's last state but one and its end.
    """
    times = [at for _, at in history]
    begins, ends = times[-2:] if len(times) > 1 else times * 2
    return any(begins <= until and since <= ends for since, until in full)


def _judge_builds(farm: PackageFarm, verdict: Verdict) -> None:
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
        said = {each: _value(value) for each, value in json.loads(properties).items()}
        # A build that makes a source package has none yet.
        name, version = said["package"], said.get("package_version", "")
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


def _value(recorded: Any) -> str:
    """
    The value of a property that is recorded with its source, or without.
    """
    return str(recorded[0] if isinstance(recorded, list) else recorded)


def judge_repository(farm: Repositories, verdict: Verdict, target: str, kind: str) -> None:
    """
    Compare the repository of *kind* with its record: indexes, packages and digests.
    """
    tree = farm.target_place(target) / kind
    packages = _snapshot(farm, target, kind)
    if not tree.exists():
        return
    if target == RPMS:
        _judge_lists(farm, verdict, target, kind)
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
        if target in (SIGNED, AUTO) and kind == "public":
            verdict.note("index", (release.parent / "InRelease").exists(), f"{release} is not signed")


def _judge_lists(farm: Repositories, verdict: Verdict, target: str, kind: str) -> None:
    """
    The lists for dnf.
    """
    tree = farm.target_place(target) / kind
    repomd = tree / "repodata" / "repomd.xml"
    packages = _snapshot(farm, target, kind)
    verdict.note("index", repomd.exists(), f"{repomd} is missing")
    if not repomd.exists():
        return
    listed = re.findall(r'<checksum type="sha256">(.*)</checksum>|<location href="(.*)"/>', repomd.read_text())
    for (digest, _), (_, place) in zip(listed[::2], listed[1::2], strict=True):
        found = hashlib.sha256((tree / place).read_bytes()).hexdigest()
        verdict.note("index", found == digest, f"{repomd} lists another {place}")
        many = gzip.decompress((tree / place).read_bytes()).count(b"<package ")
        verdict.note("index", many == len(packages), f"{place} has {many} packages of {len(packages)}")
    indexed = read_primary(str(tree / listed[1][1]))
    names = {location.removeprefix("packages/"): package.sha256 for location, package in indexed.items()}
    verdict.note("index", names == packages, f"{repomd}: {names} are not {packages}")
    for name, digest in names.items():
        path = tree / "packages" / name
        right = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
        verdict.note("files", right, str(path))


def _judge_results(farm: PackageFarm, verdict: Verdict) -> None:
    for sums in (farm.master_directory / "packages").glob("*/*/*/*/SHA256SUMS"):
        if any(part.startswith(".") for part in sums.relative_to(farm.master_directory).parts):
            continue
        for line in sums.read_text().splitlines():
            digest, _, name = line.partition("  ")
            path = sums.parent / name
            right = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
            verdict.note("results", right, str(path))


def _snapshot(farm: Repositories, target: str, kind: str) -> Mapping[str, str]:
    """
    The packages of the current snapshot, with their digests.
    """
    link = farm.target_place(target) / kind
    if not link.exists():
        return {}
    record: Path = link.resolve().parent / "snapshot.json"
    return {name: digest for name, (_, digest) in json.loads(record.read_bytes())["packages"].items()}
