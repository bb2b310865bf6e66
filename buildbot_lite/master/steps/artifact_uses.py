"""
Commands on the master that name an upload of the same build where Buildbot has it: in the master's directory.

Here an upload is an artifact of the build, and its directory is the property ``artifactsdir``.
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
    Remark at the line of *step*, which runs a command on the master, if the command names what an earlier step of its
    builder uploads, and not the directory in which that is.
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
                        f"{step.name}: the upload {name!r:.80} is an artifact of the build, elsewhere: write "
                        f'util.Interpolate("%(prop:{ARTIFACTS_DIRECTORY})s/{stored:.80}").',
                        step.recipe.place,
                    )


def _texts(value: Any) -> Iterator[str]:
    """
    The texts in *value*, as master.cfg gives them: those of a renderable with its placeholders.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif isinstance(text := getattr(value, "fmtstring", None), str):
        yield text
