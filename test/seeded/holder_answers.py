"""
What the master of a made-up farm answers to an admin: the grants, and the form of a ForceScheduler with all kinds of
parameters.
"""

from typing import Any

from .seeding import Seeding
from .values import HOSTILE, HOSTILE_LABELS

Document = dict[str, Any]

_VERBS = (
    ("slave", "oak"), ("submit", "commits"), ("submit", "debian-12"), ("change", "https://git.example.org/farm.git"),
    ("watch", "farm"), ("control", "farm"), ("sign", "debian-12"), ("admin", "admin"),
)  # fmt: skip
_STATES = ("in force", "in force", "in force", "expired", "in force", "used up", "revoked", "in force")
_LABELS = ("", "Ada's laptop", "release script", "", "web pages", "web session of Ada (192.0.2.7, 2026-11-30)", "", "")
_FIELDS: tuple[tuple[str, str, object, Document], ...] = (
    ("username", "Your name", "", {"required": True}),
    ("reason", "Reason", "a force", {}),
    ("branch", "Branch", "main", {"group": "farm.git"}),
    ("revision", "Revision", "", {"group": "farm.git", "demand": "A commit, or nothing for the newest one."}),
    ("optimize", "Optimize", True, {"kind": "flag"}),
    ("jobs", "Jobs at once", 4, {"kind": "number", "demand": "A whole number from 1 to 64."}),
    ("kind", "Kind of the build", "fast", {"kind": "choice", "choices": ["fast", "thorough", "everything"]}),
    ("suites", "Suites", ["unit"], {"kind": "choice", "choices": ["unit", "browser", "torture"], "multiple": True}),
    ("slave", "Slave", "any", {"kind": "slave", "choices": ["any", "oak", "ash"]}),
    ("same", "As in build", "", {"kind": "build"}),
    ("notes", "Notes", "Two lines\nof text", {"kind": "lines"}),
    ("patch", "Patch", "", {"kind": "file"}),
    ("broken", "Of the mirror", "", {"kind": "choice", "problem": "The choices could not be computed: no answer."}),
)


def grants(seeding: Seeding) -> list[Document]:
    """
    Grants of all kinds, in all states.
    """
    found = []
    for place, (verb, name) in enumerate(_VERBS):
        label = HOSTILE_LABELS[place % len(HOSTILE_LABELS)] if seeding.hostile and place % 2 else _LABELS[place]
        found.append(
            {
                "grant": place + 1, "verb": verb, "name": name, "label": label or None, "state": _STATES[place],
                "created": seeding.now - 86400.0 * (9 - place), "used": seeding.now - 300.0 if place % 3 else None,
                "uses": 3 * (place % 3), "uses_allowed": 5 if place == 1 else None,
                "expires": seeding.now + 86400.0 if place in {1, 5} else None, "per_hour": None, "largest": None,
                "most_waiting": None, "most_priority": None, "revoked": None, "pinned": verb == "slave",
                "links": int(verb in {"slave", "watch"}),
            }
        )  # fmt: skip
    return found


def forms(seeding: Seeding) -> list[Document]:
    """
    A form with each kind of field, and one that takes any property.
    """
    return [
        {"scheduler": "force", "label": "Force a build", "button": "Start the build", "any": False, "fields": [
            _field(name, label, default, of, hostile=seeding.hostile and place % 3 == 1)
            for place, (name, label, default, of) in enumerate(_FIELDS)
        ]},
        {"scheduler": "any", "label": "Force with any properties", "button": "Force", "any": True, "fields": [
            _field("username", "Your name", "", {}, hostile=False), _field("reason", "Reason", "", {}, hostile=False),
        ]},
    ]  # fmt: skip


def _field(name: str, label: str, default: object, of: Document, *, hostile: bool) -> Document:
    plain = {
        "group": "", "kind": "text", "required": False, "multiple": False, "open": False, "choices": [], "demand": "",
        "problem": "",
    }  # fmt: skip
    return {
        "name": name,
        "label": HOSTILE[3][:200] if hostile else label,
        "default": HOSTILE[1] if hostile and isinstance(default, str) else default,
        **plain,
        **of,
    }
