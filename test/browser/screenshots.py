"""
Every page of a made-up farm as a picture: ``make screenshots``.

    python -m test.browser.screenshots [DIRECTORY]

One page of each route, with ordinary names and with hostile ones: light, dark, and as a phone shows it.
"""

import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..needs import lacking
from ..seeded.seeding import Seeding
from .browser import Browser
from .crawling import FoundPage, crawl
from .shown_farm import ShownFarm


def main(directory: Path) -> None:
    """
    Write the pictures to *directory*, whose content is removed before.
    """
    shutil.rmtree(directory, ignore_errors=True)
    for name, seeding in (
        ("plain", Seeding(builds=600, slaves=12, hostile=False, now=time.time())),
        ("hostile", Seeding(builds=320, now=time.time())),
    ):
        with ShownFarm(seeding) as shown, Browser(shown.address) as browser:
            for page in _one_of_each_route(crawl(shown.address).pages):
                _take(browser, page, directory / name)


def _one_of_each_route(pages: Sequence[FoundPage]) -> list[FoundPage]:
    # The last one of a route without a query, because the first links lead to what runs.
    ordered = sorted(pages, key=lambda page: "?" not in page.path)
    return list({page.rule: page for page in ordered}.values())


def _take(browser: Browser, page: FoundPage, directory: Path) -> None:
    browser.reset()
    name = re.sub(r"[^a-z0-9]+", "-", page.rule.lower()).strip("-") or "farm"
    sys.stdout.write(f"{browser.open(page.path).photograph(directory / f'{name}.png')}\n")
    browser.dark().open(page.path).photograph(directory / f"{name}-dark.png")
    browser.dark(on=False).narrow().open(page.path).photograph(directory / f"{name}-phone.png")


if __name__ == "__main__":
    if sentence := lacking("chromium", "chromedriver"):
        sys.exit(sentence)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".screenshots"))
