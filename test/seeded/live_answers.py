"""
What the master of a made-up farm answers over its watch FURL, without a master.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from buildbot_lite.model.display import clock_time
from buildbot_lite.model.wait_reasons import absent, back_off, busy, draining, lock, low_space, paused

from . import holder_answers, targets
from .seeding import Seeding
from .values import HOSTILE, HOSTILE_TAG, TAGS

Document = dict[str, Any]

_LOST = "since {lost}"
_STATES: Sequence[tuple[str, Document]] = (
    ("here", {}),
    ("here", {}),
    (
        "reconnecting",
        {"connected": False, "obstacle": absent("{slave}", _LOST).sentence, "grace_left": 1790.0},
    ),
    ("paused", {"paused": 1_795_990_000.0, "obstacle": paused("{slave}").sentence}),
    ("draining", {"draining": True, "obstacle": draining("{slave}").sentence}),
    (
        "low-space",
        {"low_space": True, "obstacle": low_space("{slave}", 286 << 20, 1 << 30).sentence, "space": 286 << 20},
    ),
    (
        "refused",
        {"connected": False, "refused": None, "obstacle": "{slave}'s string belongs to another machine"},
    ),
    ("never-seen", {"connected": False, "since": None, "obstacle": absent("{slave}", "never seen").sentence}),
)
_WAITS = (
    busy("poplar", ["nightly/60"]),
    paused("birch"),
    lock("database", ["release/60"], held=True),
    absent("elm.example.org", _LOST),
    back_off(40, 1),
)


@frozen
class LiveAnswers:
    """
    The answers about the farm of *seeding*.  *more*: answers to further questions, or instead of these.
    """

    seeding: Seeding
    more: Mapping[str, Document] = {}

    def to(self, question: str) -> Document | None:
        """
        The answer to a question without further fields; None: there is no such question.
        """
        if question in self.more:
            return self.more[question]
        answers = {
            "www": self._www,
            "status": lambda: {"status": self._status()},
            "queue": self._queue,
            "slaves": lambda: {"slaves": self.slaves()},
            "builders": lambda: {"builders": self.builders()},
            "schedulers": self._schedulers,
            "metrics": self._metrics,
            "package-targets": lambda: {"targets": targets.documents(hostile=self.seeding.hostile)},
            "me": lambda: {"grant": 1, "label": HOSTILE[1] if self.seeding.hostile else "Ada's laptop", "may": None},
            "grants": lambda: {"grants": holder_answers.grants(self.seeding)},
            "force-forms": lambda: {"forms": holder_answers.forms(self.seeding)},
        }
        return answers[question]() if question in answers else None

    def _www(self) -> Document:
        return {
            "title": "The farm of <b>example.org</b> & friends" if self.seeding.hostile else "Example farm",
            "url": "http://127.0.0.1:8010/",
            "port": None,
            "private": False,
            "proxies": [],
            "builders": self.builders(),
        }

    def _status(self) -> Document:
        return {
            "title": self._www()["title"],
            "url": "http://127.0.0.1:8010/",
            "version": "0.1.0",
            "slaves": self.slaves(),
            "running": self.running(),
            "waiting": self.waiting(),
            "waiting_total": self.seeding.waiting,
            "change_sources": [],
        }

    def _queue(self) -> Document:
        return {"queue": self.waiting(), "next": None, "total": self.seeding.waiting}

    def running(self) -> list[Document]:
        """
        The newest builds, which run.
        """
        seeding = self.seeding
        made = range(seeding.builds - seeding.running, seeding.builds)
        names = seeding.slave_names
        return [
            {
                "builder": seeding.builders[each % len(seeding.builders)],
                "number": each // len(seeding.builders) + 1,
                "slave": names[each % seeding.slaves],
                "request": each + 1,
                "started": seeding.now - 60,
                "waits_for": None,
                "expected_end": seeding.now + 150,
            }
            for each in made
        ]

    def waiting(self) -> list[Document]:
        """
        The requests that wait, with the reasons.
        """
        seeding = self.seeding
        waiting = []
        for each in range(seeding.waiting):
            reason = _WAITS[each % len(_WAITS)]
            kind, sentence = reason.kind.value, reason.sentence.format(lost=self._lost)
            if seeding.hostile and each % 2:
                sentence = HOSTILE[each]
            waiting.append(
                {
                    "request": seeding.builds + 1 + each,
                    "builder": seeding.builders[-1 - each % len(seeding.builders)],
                    "scheduler": "commits",
                    "submitted": seeding.now - 60.0 * (each + 1),
                    "priority": each % 3,
                    "retries": 0,
                    "why": {"kind": kind, "sentence": sentence},
                    "position": each + 1,
                    "expected_start": seeding.now + 120.0 * (each + 1) if each % 2 else None,
                }
            )
        return waiting

    @property
    def _lost(self) -> str:
        """
        When the link to a slave was lost, for sentences.
        """
        return clock_time(self.seeding.now - 7200.0)

    def slaves(self) -> list[Document]:
        """
        The slaves: one in each state, then all of them here.
        """
        running = self.running()
        return [self._slave(place, name, running) for place, name in enumerate(self.seeding.slave_names)]

    def _slave(self, place: int, name: str, everything: Sequence[Document]) -> Document:
        seeding = self.seeding
        state, fields = _STATES[place] if place < len(_STATES) else _STATES[0]
        running = [f"{each['builder']}/{each['number']}" for each in everything if each["slave"] == name]
        document: Document = {
            "slave": name,
            "state": state,
            "connected": True,
            "since": seeding.now - 7200.0,
            "paused": None,
            "draining": False,
            "revoked": False,
            "refused": None,
            "breach": None,
            "obstacle": None,
            "running": running,
            "max_builds": 1,
            "builders": list(seeding.builders),
            "version": "0.1.0",
            "space": 61_203_283_968,
            "low_space": False,
            "removed": [],
            "platform": {"hostname": f"{name[:20]}.lan", "os": "Debian GNU/Linux 12", "machine": "x86_64"},
        }
        document.update(fields)
        if document["obstacle"] is not None:
            document["obstacle"] = document["obstacle"].format(slave=name, lost=self._lost)
        if state == "refused":
            reason = HOSTILE[1] if seeding.hostile else f"{name}'s string belongs to another machine"
            document["refused"] = {"at": seeding.now - 900, "reason": reason, "asks_again_by": seeding.now + 900}
        return document

    def builders(self) -> list[Document]:
        """
        The builders of the configuration.
        """
        seeding, running = self.seeding, self.running()
        waiting = Counter(each["builder"] for each in self.waiting())
        return [
            {
                "builder": name,
                "description": HOSTILE[place % len(HOSTILE)] if seeding.hostile and place % 3 == 2 else "",
                "tags": [HOSTILE_TAG if seeding.hostile and place % 5 == 2 else TAGS[place % len(TAGS)]],
                "slaves": list(seeding.slave_names[:50]),
                "running": [each["number"] for each in running if each["builder"] == name],
                "waiting": waiting[name],
                "takes": 185.0,
                "last": None,
            }
            for place, name in enumerate(seeding.builders)
        ]

    def _schedulers(self) -> Document:
        entry = {"kind": "SingleBranchScheduler", "builders": list(self.seeding.builders), "error": None}
        return {
            "schedulers": [
                {"scheduler": "commits", "waits_for": "a change", "next": None, **entry},
                {"scheduler": "nightly", "waits_for": "02:00", "next": self.seeding.now + 7200, **entry},
            ]
        }

    def _metrics(self) -> Document:
        return {
            "record_batches_total": 1200,
            "record_write_seconds_total": 3.25,
            "reactor_lag_seconds": 0.002,
            "received_bytes_total": 123_456_789,
            "sent_bytes_total": 2_345_678,
            "slave_reconnects_total": 4,
            "disk_free_bytes": 61_203_283_968,
        }
