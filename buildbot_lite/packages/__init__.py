"""
Packages of Debian and RPM: from a source package to its builds on several architectures.

::

    configured_targets
       │
       ▼
    targets ──► roots, sbuild, mock, steps ──► overlay.sh, sbuild.sh, …    where it is built, and how
    deb_target, rpm_target ──► rpm_steps
       │
       ▼
    package_scheduler ──► job_records ──► jobs, job_states                 what a submission becomes
       │                      ▲
       │                 job_service                                       what becomes of a job
       ▼
    submitted_package ──► debian_source ──► control_text          what a submitted file is
          │          '──► rpm_source ──► rpm_header
          ▼
    source_package ──► architectures ──► debian_architectures      for what it is built
       ▲
    built_packages ──► built_deb ──► deb_file                      whether what a slave sent is what the source makes
          '──────────► built_rpm ──► rpm_file
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .deb_target import DebTarget
    from .mock import Mock
    from .roots import Overlay, Plain
    from .rpm_target import RpmTarget
    from .sbuild import Sbuild

__all__ = ["DebTarget", "Mock", "Overlay", "Plain", "RpmTarget", "Sbuild"]

_HOMES = {
    "DebTarget": "deb_target",
    "Mock": "mock",
    "Overlay": "roots",
    "Plain": "roots",
    "RpmTarget": "rpm_target",
    "Sbuild": "sbuild",
}


def __getattr__(name: str) -> Any:
    # Maintainers check a package without what a master needs, so nothing of that is imported before it is used.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
