"""
Buildsets that go on as another one, for those who follow them: the packages of a job, after the build that made its
source.
"""

from collections.abc import Awaitable, Callable, Iterable

from attrs import frozen

After = Callable[[int], Awaitable[int | None]]


@frozen
class Continuation:
    """
    *after*: called with the number of a buildset that has ended well; returns that of the one that goes on, once it is
    there, or None when there is none; `BuildbotLiteError` when there should be one and cannot.
    """

    name: str
    after: After


async def continued(continuations: Iterable[Continuation], buildset: int) -> int | None:
    """
    The buildset as which *buildset* goes on; None when it does not.
    """
    for each in continuations:
        if (following := await each.after(buildset)) is not None:
            return following
    return None
