"""
Packages of Debian and RPM: from a source package to a signed repository, on several architectures.

Imports go down only; ``lint-imports`` holds it::

    signing         needsign: what is offered to signers, their signatures, push
    service         jobs in a running master: what starts them, what becomes of them, what people ask and order
    targets         c["targets"], and what a submission to one becomes
    building        how a package is built on a slave: steps, clean roots, the scripts that run in them
    repositories    snapshots for builds and for users, made and checked
    records         jobs as the database and the directories have them: values, rows, states, results
    formats | keys  sources and built packages of Debian and RPM; public keys and what they signed

Where to begin reading: ``records/job_states.py`` (the life of a job), ``targets/target.py``, ``building/steps.py``,
``service/job_advance.py``, ``repositories/snapshots.py``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .building.mock import Mock
    from .building.roots import Overlay, Plain
    from .building.sbuild import Sbuild
    from .targets.deb_target import DebTarget
    from .targets.rpm_target import RpmTarget

__all__ = ["DebTarget", "Mock", "Overlay", "Plain", "RpmTarget", "Sbuild"]

_HOMES = {
    "DebTarget": "targets.deb_target",
    "Mock": "building.mock",
    "Overlay": "building.roots",
    "Plain": "building.roots",
    "RpmTarget": "targets.rpm_target",
    "Sbuild": "building.sbuild",
}


def __getattr__(name: str) -> Any:
    # Maintainers check a package without what a master needs, so nothing of that is imported before it is used.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
