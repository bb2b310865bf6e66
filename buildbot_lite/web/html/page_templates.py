"""
From a document to a page: templates of Jinja2.

Every value is escaped (autoescape), and its unprintable characters are replaced (`_finalized`).  Rows of long lists are
written by `rows`.
"""

from collections.abc import Mapping
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from ...model.display import printable
from ...model.holder_name import holder_name
from ...model.requester import requester
from . import rows
from .rendering import (
    clock,
    duration,
    elapsed,
    left,
    moment,
    prose,
    result_class,
    result_letter,
    result_words,
    segment,
    shown,
    size,
    static_file,
    told,
    typed,
)


class Templates:
    """
    The templates of the pages.
    """

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("buildbot_lite.web"),
            autoescape=True,
            # A master of another version may leave out a field: what is not there is not shown.
            undefined=ChainableUndefined,
            finalize=_finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            clock=clock,
            duration=duration,
            elapsed=elapsed,
            left=left,
            holder_name=holder_name,
            letter=result_letter,
            moment=moment,
            prose=prose,
            requester=requester,
            result=result_class,
            segment=segment,
            shown=shown,
            size=size,
            told=told,
            typed=typed,
            words=result_words,
        )
        # What a page has hundreds of.
        self._environment.globals.update(
            build_links=rows.build_links,
            build_rows=rows.build_rows,
            cells=rows.cells,
            console_rows=rows.console_rows,
            plot_bars=rows.plot_bars,
            slave_rows=rows.slave_rows,
        )
        self._environment.globals["static"] = lambda name: f"static/{name}?{static_file(name)[1]}"

    def render(self, template: str, context: Mapping[str, Any]) -> bytes:
        """
        The page of *template* in UTF-8; characters that cannot be encoded become "?".
        """
        return self._environment.get_template(template).render(context).encode("utf-8", "replace")


def _finalized(value: object) -> object:
    """
    *value* as a template writes it: of every text that is not markup of ours, characters that cannot be printed are
    replaced, so that no value can turn the direction of what stands beside it.
    """
    if isinstance(value, str) and not isinstance(value, Markup) and not value.isprintable():
        return printable(value, longest=len(value), lines=True)
    return value
