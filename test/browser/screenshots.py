"""
Every page of made-up farms as a picture: ``make screenshots``.

    python -m test.browser.screenshots [DIRECTORY [FARM...]]

FARM is one of these, by default all of them; each page is light, dark, and as a phone shows it:

plain, hostile
    One page of each route, with ordinary names and with hostile ones; then those that only an admin sees, errors, and
    the first page while the master is away.
new
    A farm without builds, slaves and packages.
large
    1,000 builders and 1,000 slaves.
"""

import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve

from ..needs import lacking
from ..seeded.seeding import Seeding
from .browser import Browser
from .crawling import FoundPage, crawl
from .shown_farm import ShownFarm

_NEW = Seeding(builds=0, slaves=0, running=0, waiting=0, packages=0, hostile=False)
FARMS: Mapping[str, Seeding] = {
    "plain": Seeding(builds=600, slaves=12, hostile=False),
    "hostile": Seeding(builds=320),
    "new": _NEW,
    "large": Seeding(builds=2020, slaves=1000, running=60, waiting=300, hostile=False, more_builders=1000),
}
OF_ADMINS = ("grants", "queue", "slaves/oak", "builders/release", "builders/release/force", "builders/release/18")
ERRORS = ("builders/releaze", "nothing", "packages/4711", "grants", "packages/targets/debain")
OF_NEW = ("", "builds", "builders/release", "queue", "slaves", "changes", "waterfall", "packages", "about")
OF_LARGE = ("", "slaves", "queue", "changes", "waterfall", "builds")


def main(directory: Path, farms: Sequence[str]) -> None:
    """
    Write the pictures of *farms* to *directory*, whose content is removed before.
    """
    shutil.rmtree(directory, ignore_errors=True)
    for name in farms:
        with (
            ShownFarm(evolve(FARMS[name], now=time.time())) as shown,
            Browser(shown.address) as browser,
        ):
            if name in {"new", "large"}:
                pages = {path: path for path in (OF_NEW if name == "new" else OF_LARGE)}
            else:
                pages = {page.rule: page.path for page in _one_of_each_route(crawl(shown.address).pages)}
            _take_all(browser, pages, directory / name)
            if name in {"plain", "hostile"}:
                _take_all(browser, {f"error {path}": path for path in ERRORS}, directory / name)
                _take_all(browser, {f"admin {path}": path for path in OF_ADMINS}, directory / name, shown)
                shown.stop_master()
                _take_all(browser, {"away": "", "away queue": "queue"}, directory / name)


def _one_of_each_route(pages: Sequence[FoundPage]) -> list[FoundPage]:
    # The last one of a route without a query, because the first links lead to what runs.
    ordered = sorted(pages, key=lambda page: "?" not in page.path)
    return list({page.rule: page for page in ordered}.values())


def _take_all(browser: Browser, pages: Mapping[str, str], directory: Path, entered: ShownFarm | None = None) -> None:
    """
    Take *pages*, addresses by name, in all ways.  *entered*: the farm that the browser enters with an admin's string.
    """
    for name, path in pages.items():
        browser.reset()
        if entered is not None:
            entered.enter(browser)
        place = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "farm"
        sys.stdout.write(f"{browser.open(path).photograph(directory / f'{place}.png')}\n")
        browser.dark().open(path).photograph(directory / f"{place}-dark.png")
        browser.dark(on=False).narrow().open(path).photograph(directory / f"{place}-phone.png")


if __name__ == "__main__":
    if sentence := lacking("chromium", "chromedriver"):
        sys.exit(sentence)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".screenshots"), sys.argv[2:] or list(FARMS))
