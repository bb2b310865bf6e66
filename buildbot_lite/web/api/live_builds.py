"""
What only the master knows of the builds that run.
"""

from collections.abc import Sequence

from ...status.build_documents import Document
from ..farm.live import Document as LiveDocument


def with_live(builds: Sequence[Document], status: LiveDocument) -> list[Document]:
    """
    *builds*, each with the fields "waits_for", the reason for which its present step waits, and "expected_end", as the
    master's *status* tells them of those that run; both are None of others, and when they are not known.
    """
    running = {(each["builder"], each["number"]): each for each in status.get("running", ())}
    return [_with_live(each, running.get((each["builder"], each["number"]), {})) for each in builds]


def _with_live(build: Document, live: LiveDocument) -> Document:
    # A build that has ended by now may run in an answer that is a second old.
    runs = live if build["finished"] is None else {}
    return {**build, "waits_for": runs.get("waits_for"), "expected_end": runs.get("expected_end")}
