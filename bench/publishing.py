"""
Publishing one more package in a repository with many, against a full run of the program that writes the index.

    .venv/bin/python bench/publishing.py [PACKAGES]

Prints one line of JSON for each kind of repository: seconds, and seconds of processor time (``cpu``) with that of the
programs.  Packages are small, so a full run reads less here than with real ones.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.metadata import Metadata
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.rpm_metadata import RpmMetadata
from buildbot_lite.packages.repositories.snapshots import PUBLIC
from test.packages.archives import deb

MANY = 10_000
ROUNDS = 3


def a_deb(directory: Path, number: int) -> Path:
    """
    The path of a new .deb.
    """
    name = f"package{number}"
    fields = {"Package": name, "Version": "1.0", "Architecture": "amd64", "Maintainer": "F <f@example.org>"}
    path = directory / f"{name}_1.0_amd64.deb"
    path.write_bytes(deb({**fields, "Description": "for measuring"}, "gz"))
    return path


def debs(directory: Path, many: int) -> list[str]:
    """
    The paths of new packages of Debian.
    """
    return [str(a_deb(directory, number)) for number in range(many)]


def rpms(directory: Path, many: int) -> list[str]:
    """
    The paths of new RPM packages: empty ones, made by one build.
    """
    spec = directory / "many.spec"
    head = "Name: many\nVersion: 1\nRelease: 1\nSummary: for measuring\nLicense: MIT\nBuildArch: noarch\n"
    text = "%package p{0}\nSummary: for measuring\n%description p{0}\nFor measuring.\n%files p{0}\n"
    spec.write_text(f"{head}%description\nx\n" + "".join(text.format(number) for number in range(many)))
    words = [
        "rpmbuild",
        "-bb",
        "--quiet",
        "--define",
        f"_topdir {directory}",
        "--define",
        f"_rpmdir {directory}",
        str(spec),
    ]
    subprocess.run(words, check=True, capture_output=True)
    return [str(path) for path in (directory / "noarch").iterdir()]


def measure(
    kind: str, metadata: Metadata, make: Callable[[Path, int], list[str]], full: Sequence[str], many: int
) -> None:
    """
    Print what publishing takes.
    """
    top = Path(tempfile.mkdtemp(prefix="publishing-"))
    try:
        results = top / "results"
        results.mkdir()
        repository = PackageRepository(str(top / "repository"), metadata)
        *packages, first, second, third = make(results, many + ROUNDS)
        everything = _spent(lambda: _publish(repository, packages))
        more = sorted(_spent(partial(_publish, repository, [package])) for package in (first, second, third))
        tree = os.path.realpath(top / "repository" / PUBLIC)
        run = partial(subprocess.run, full, cwd=tree, check=True, capture_output=True)
        whole = sorted(_spent(run) for _ in range(ROUNDS))
        figures = {"publish_all": everything, "publish_one_more": more[1], "full_run_of_the_program": whole[1]}
        seconds = {name: round(wall, 2) for name, (wall, _) in figures.items()}
        cpu = {f"{name}_cpu": round(cpu, 2) for name, (_, cpu) in figures.items()}
        print(json.dumps({"kind": kind, "packages": many, **seconds, **cpu}))
    finally:
        shutil.rmtree(top)


def _publish(repository: PackageRepository, files: Sequence[str]) -> None:
    repository.publish(repository.prepare(PUBLIC, files))


def _spent(work: Callable[[], object]) -> tuple[float, float]:
    begin, before = time.monotonic(), os.times()
    work()
    return time.monotonic() - begin, sum(os.times()[:4]) - sum(before[:4])


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    measure("apt", DebianMetadata("t", ["amd64"]), debs, ["apt-ftparchive", "packages", "pool"], count)
    # Into another directory, where it finds no earlier metadata.
    out = tempfile.mkdtemp(prefix="publishing-")
    measure("rpm", RpmMetadata(), rpms, ["createrepo_c", "--quiet", "--no-database", "--outputdir", out, "."], count)
    shutil.rmtree(out)
