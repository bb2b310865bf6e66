"""
The scheduler by which people ask for builds.
"""

from .schedulers import BaseScheduler


class ForceScheduler(BaseScheduler):
    """
    Build requests by ``buildbot-lite force``.
    """
