"""
Packages of Debian and RPM: from a source package to a signed repository, on several architectures.

Imports go down only; ``lint-imports`` holds it::

    control | signing  what holders of FURLs ask and order; the farm's side of signatures
    service            jobs in a running master: what starts them, and what becomes of them
    targets            c["targets"], and what a submission to one becomes
    building           how a package is built on a slave: steps, clean roots, the scripts that run in them
    repositories       snapshots for builds and for users
    records | signer   jobs as the database and the directories have them; the signer's side of signatures
    formats | keys     sources and built packages of Debian and RPM; public keys and what they signed

A package, from a submission to the signed repository::

    flappclient ──► targets.package_scheduler: examined, a job, a build for each architecture
      builds    ──► building.steps, on slaves; in a building.root, with the packages of building.farm_repository
      job goes on   service.job_service sees that its builds ended; service.job_advance takes each step after that:
      results   ──► service.checked_builds, records.results                         packages/TARGET/NAME/VERSION/ARCH
      repowait  ──► service.target_repositories ──► repositories.repository         the snapshot *build*, for builds
      needsign  ──► signing.signing_round ◄── signer.signer, at the signer's        signatures, checked and stored
      pushed    ──► signing.signed_repository ──► repositories.repository           the snapshot *public*, for users
      finished  ──► signing.repo_script

A source package may also be made from git by a build of its own (``building/source_steps.py``,
``service/made_source.py``).  Where to begin reading: ``records/job_states.py`` (the life of a job),
``targets/target.py``, ``building/steps.py``, ``service/job_advance.py``, ``repositories/snapshots.py``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .building.debian_roots import Overlay
    from .building.mock import Mock
    from .building.plain import Plain
    from .building.sbuild import Sbuild
    from .targets.deb_target import DebTarget
    from .targets.rpm_target import RpmTarget

__all__ = ["DebTarget", "Mock", "Overlay", "Plain", "RpmTarget", "Sbuild"]

_HOMES = {
    "DebTarget": "targets.deb_target",
    "Mock": "building.mock",
    "Overlay": "building.debian_roots",
    "Plain": "building.plain",
    "RpmTarget": "targets.rpm_target",
    "Sbuild": "building.sbuild",
}


def __getattr__(name: str) -> Any:
    # Maintainers check a package without what a master needs, so nothing of that is imported before it is used.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
