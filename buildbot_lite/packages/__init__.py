"""
Packages of Debian and RPM: from a source package to its builds on several architectures.

::

    targets ──► roots, steps ──► overlay.sh                        where it is built, and how
       │
       ▼
    submitted_package ──► debian_source ──► control_text          what a submitted file is
          │          '──► rpm_source ──► rpm_header
          ▼
    source_package ──► architectures ──► debian_architectures      for what it is built
"""

from .roots import Overlay, Plain
from .targets import DebTarget

__all__ = ["DebTarget", "Overlay", "Plain"]
