"""
Which packages a target with ``versions=`` has in public, by its documented rule.

"When a version of a package is published, the index keeps that many versions of it, the latest in the order of Debian's
or RPM's versions, and the published one.  So an older version that is published stays until the next version of its
package is published."  (docs/packages-reference.md, *What is removed*.)
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Publication(NamedTuple):
    """
    A job that was published.  *version*: with two numbers.  *since*, *until*: the times between which that happened.
    """

    name: str
    version: float
    since: float
    until: float
    packages: frozenset[str]


def kept_packages(published: Iterable[Publication], most: int) -> tuple[set[str], set[str]]:
    """
    The packages that must be public, and those that may be: the *most* latest versions of each package, and the version
    that was published last.  Which one that is, is not certain where the times of two overlap: a master that was killed
    after a publication repeats it, and records it later.
    """
    must, may = set[str](), set[str]()
    names: defaultdict[str, list[Publication]] = defaultdict(list)
    for each in published:
        names[each.name].append(each)
    for of_name in names.values():
        for each in sorted(of_name, key=lambda publication: publication.version)[-most:]:
            must |= each.packages
        for each in of_name:
            others = [other for other in of_name if other is not each]
            if all(other.until <= each.since for other in others):
                must |= each.packages
            if all(other.since < each.until for other in others):
                may |= each.packages
    return must, may | must
