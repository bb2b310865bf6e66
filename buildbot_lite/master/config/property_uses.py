"""
Remarks about properties that a configuration needs, but that nothing can set.

``Interpolate("rm -rf %(prop:biulddir)s/work")`` is ``rm -rf /work`` if nothing sets the property.  The properties of a
build are not known in advance, because steps set some, also with computed names.  So this looks for names that appear
nowhere else: they are no standard property, are in no dictionary of properties, and are neither a text nor the name of
an argument in the configuration.
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
"""Properties that shipped steps set, with names that they choose."""


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
        # A name that is close to a known one is misspelt, even if properties of any name may be set.
        if name not in names and (not any_may_come or nearest(name, known) is not None):
            mistakes.add_remark(
                Mistake(place, f"Nothing here sets the property {name!r}: without it, the text is empty there.")
            )


def _any_may_come(config: MasterConfig) -> bool:
    """
    Whether builds may get properties whose names are not in the configuration: from a submission, a webhook, or a
    function of a step.
    """
    return (
        bool(config.www.dialects)
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
