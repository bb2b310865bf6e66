"""
The steps that are shipped.  ``base`` says what a step is; each of the others is made of its public parts only.

What is in ``__all__`` is what a master.cfg finds as ``steps.…``.
"""

from .base import BuildStep

__all__ = ["BuildStep"]
