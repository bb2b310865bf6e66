"""
Remarks on properties that a configuration needs, and that nothing can set.

``Interpolate("rm -rf %(prop:biulddir)s/work")`` is ``rm -rf /work`` when nothing sets the property.  Which properties a
build will have cannot be known before: steps set them, also by computed names.  So this looks for names that are
mentioned nowhere else: not as the build's own, not in a dictionary of properties, and not as a text or the name of an
argument anywhere in the configuration.
"""

from collections.abc import Iterator, Mapping

from ...model.properties import OF_THE_BUILD
from ...model.suggestions import nearest
from .master_config import MasterConfig
from .mistakes import Mistake, Mistakes
from .source_texts import mentioned_words

OF_THE_SOURCE = frozenset(
    {
        *("branch", "revision", "repository", "project", "codebase", "got_revision"),
        *("filename", "owner", "owners"),
    }
)
"""Properties that come with a source, a submission or a request."""
OF_STEPS = frozenset({"commit-description", "tree-size-KiB", "warnings-count"})
"""Properties that shipped steps set under names of their own."""


def remark_on_unset(mistakes: Mistakes, config: MasterConfig) -> None:
    """
    Add a remark for each property that is needed and that nothing in *config* and its texts can set.
    """
    if not mistakes.property_uses:
        return
    known = {*OF_THE_BUILD, *OF_THE_SOURCE, *OF_STEPS, *_given(config)}
    names = known.union(*map(mentioned_words, mistakes.texts.values()))
    any_may_come = _any_may_come(config)
    for place, name in mistakes.property_uses:
        # What is close to a known name is misspelt, whatever else may come.
        if name not in names and (not any_may_come or nearest(name, known) is not None):
            mistakes.add_remark(
                Mistake(place, f"Nothing here sets the property {name!r}: in a build without it, it is an empty text.")
            )


def _any_may_come(config: MasterConfig) -> bool:
    """
    Whether properties come whose names stand nowhere: with a submission, from a webhook, or from a function of a step.
    """
    return (
        bool(config.webhooks)
        or any(each.stdin == "properties" for each in config.submits.values())
        or any(
            getattr(step, "extract_fn", None) is not None
            for builder in config.builders.values()
            for step in builder.factory.steps
        )
    )


def _given(config: MasterConfig) -> Iterator[str]:
    owners: tuple[Mapping[str, object], ...] = (config.slaves, config.builders, config.schedulers)
    for owner in owners:
        for each in owner.values():
            yield from getattr(each, "properties", ())
