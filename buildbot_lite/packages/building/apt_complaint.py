"""
Why apt cannot install what a package needs, in one sentence that names it.

apt-get(8) names the packages in a paragraph before its last line; the last line alone does not say what is missing::

    The following packages have unmet dependencies:
     builddeps:./in/greet_1.0.dsc : Depends: hello but it is not installable
                                    Depends: libfoo-dev (>= 2) but 1.4-1 is to be installed
    E: Unable to correct problems, you have held broken packages.
"""

import re

from ...master.steps.context import CommandResult
from ...master.steps.outcomes import LONGEST_COMPLAINT, complaint_of

MOST_NAMED = 8
"""Packages that one sentence names."""

_UNMET = "The following packages have unmet dependencies:"
_LINE = re.compile(
    r"(?: (?P<of>\S+) :)? *(?:(?P<how>[A-Z][A-Za-z-]+): )?"
    r"(?P<what>\S+(?: \([^)]*\))?)(?: but (?P<why>.*?))?(?P<more> or)?\Z"
)
_VERSION = re.compile(r"(?P<version>\S+) is to be installed\Z")
_OWN = "builddeps:"


def apt_complaint(ran: CommandResult) -> str:
    """
    The packages that are missing according to the output of apt in *ran*, as one sentence; or apt's last line, if the
    output names none.
    """
    missing, others = _unmet(ran.output())
    if not missing and not others:
        return complaint_of(ran)
    named = missing[:MOST_NAMED]
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    lacks = [f"neither the distribution nor a repository of the farm has {', '.join(named)}{more}"] if missing else []
    return "; ".join([*lacks, *others[:MOST_NAMED]])[:LONGEST_COMPLAINT]


def _unmet(output: str) -> tuple[list[str], list[str]]:
    """
    The names of packages that are in no repository, and phrases about packages that cannot be installed for another
    reason.
    """
    _, found, text = output.rpartition(_UNMET)
    missing: list[str] = []
    others: list[str] = []
    alternatives: list[str] = []
    for line in text.splitlines()[1:] if found else ():
        match = _LINE.match(line)
        if match is None:
            break
        if match["why"] == "it is not installable":
            alternatives.append(match["what"])
            if not match["more"]:
                missing.append(" or ".join(alternatives))
        else:
            others.append(_phrase(match))
        if not match["more"]:
            alternatives.clear()
    return list(dict.fromkeys(missing)), list(dict.fromkeys(others))


def _phrase(match: re.Match[str]) -> str:
    what = match["what"]
    if match["how"] in ("Conflicts", "Breaks"):
        return f"{what} must not be installed"
    if (version := _VERSION.match(match["why"] or "")) is not None:
        return f"{what} is needed, and version {version['version']} would be installed"
    if "(" in what:
        return f"{what} is needed, and no repository has such a version, or it cannot be installed with the rest"
    of = match["of"]
    by = f" by {of}" if of is not None and not of.startswith(_OWN) else ""
    return f"{what}, which is needed{by}, cannot be installed with the rest"
