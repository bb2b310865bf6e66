"""
Remarks about commands on the master that use an upload of the same build by its path in Buildbot.

Buildbot puts uploads into the master's directory.  Here they are artifacts of the build, whose directory the property
``artifactsdir`` has.
"""

import re
from collections.abc import Iterator
from typing import Any

from ..config.mistakes import remark
from .master_paths import leads_outside
from .transfer import DirectoryUpload, archive_name

ARTIFACTS_DIRECTORY = "artifactsdir"
"""The property with the directory of a build's artifacts on the master."""


def remark_on_uploads(step: Any, config: Any) -> None:
    """
    Note a remark at the line of *step*, which runs a command on the master, if the command names an upload of an
    earlier step of its builder without the directory of artifacts.
    """
    words = " ".join(_texts(step.command))
    if ARTIFACTS_DIRECTORY in words:
        return
    for builder in config.builders.values():
        steps = list(builder.steps)
        for earlier in steps[: steps.index(step)] if step in steps else ():
            for name in _texts(getattr(earlier, "masterdest", None)):
                if not leads_outside(name) and re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", words):
                    stored = archive_name(name) if isinstance(earlier, DirectoryUpload) else name
                    remark(
                        f"{step.name}: the upload {name!r:.80} is in the directory of the build's artifacts: write "
                        f'util.Interpolate("%(prop:{ARTIFACTS_DIRECTORY})s/{stored:.80}").',
                        step.recipe.place,
                    )


def _texts(value: Any) -> Iterator[str]:
    """
    The texts in *value*, before they are rendered.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif isinstance(text := getattr(value, "fmtstring", None), str):
        yield text
