"""
Secrets in the arguments of change sources.
"""

from typing import Any

from ....errors import ConfigError
from ....model.properties import Properties
from ....model.rendering import View, render
from ....model.spec import SECRET_REFERENCE
from ...builds.redaction import Redaction
from ...config.change_sources import SourceContext


async def rendered(context: SourceContext, redaction: Redaction, value: Any) -> str | None:
    """
    The text *value*, rendered without a build, with the values of secrets in it, which *redaction* hides from now on.
    """
    text = await render(value, View(Properties()))
    if text is None:
        return None
    if not isinstance(text, str):
        raise ConfigError(f"An argument of a change source is {type(text).__name__}, and must be text.")
    parts = SECRET_REFERENCE.split(text)
    for index in range(1, len(parts), 2):
        name = parts[index]
        parts[index] = redaction.hide(name, await context.secret(name))
    return "".join(parts)
