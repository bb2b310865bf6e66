"""
The steps of a build, made from their recipes by constructors that may be the user's.
"""

from collections.abc import Sequence

from twisted.logger import Logger

from ...errors import BuildbotLiteError
from ...model import user_functions
from ...model.time_limit import OverdueError, call_within
from ...model.user_functions import error_text
from ..steps.recipe import Recipe
from ..steps.step import BuildStep
from .build_context import BuildContext
from .step_time import LONGEST_REPLAY, endless_replay

_log = Logger()


def made_steps(recipes: Sequence[Recipe[BuildStep]], context: BuildContext, label: str) -> list[BuildStep]:
    """
    The steps of *recipes*, all together within the limit on code of steps; an error says whose constructor failed, or
    took too long.  *label*: "builder/number".
    """
    if not recipes:
        return []
    made, replaying = list[BuildStep](), context.journal.replaying
    limit = LONGEST_REPLAY if replaying else user_functions.LONGEST_CALL
    try:
        call_within(limit, lambda: made.extend(recipe.make() for recipe in recipes))
    except OverdueError:
        if replaying:
            raise endless_replay() from None
        raise BuildbotLiteError(
            f"The constructor of the step {_making(recipes, made)} was ended, because it took longer than "
            f"{limit:g} s, with those before it.  The master does nothing else meanwhile: let them compute less, "
            "or let a command do it."
        ) from None
    except BuildbotLiteError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's code
        _log.failure("a step of {build} cannot be made", build=label)
        sentence = f"The constructor of the step {_making(recipes, made)} failed: {error_text(error)}"
        raise BuildbotLiteError(context.redaction.text(sentence)) from None
    return made


def name_uniquely(step: BuildStep, seen: dict[str, int]) -> None:
    """
    Make the name of *step* unique among those *seen*: ``shell``, ``shell_1``, ``shell_2``.
    """
    count = seen.get(step.name, 0)
    seen[step.name] = count + 1
    step.name = f"{step.name}_{count}" if count else step.name


def _making(recipes: Sequence[Recipe[BuildStep]], made: Sequence[BuildStep]) -> str:
    """
    The name of the step that comes after those that are *made*.
    """
    return recipes[min(len(made), len(recipes) - 1)].cls.__name__
