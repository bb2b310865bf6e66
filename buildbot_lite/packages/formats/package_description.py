"""
What a built package says about itself.
"""

from typing import IO, Protocol

from attrs import frozen

from ...errors import InputError
from .source_package import SourcePackage


@frozen
class Description:
    """
    What a package says about itself; *version*: with the release, without the epoch.  *source_version*: that of the
    source package as it was built, in the same form.
    """

    name: str
    epoch: str
    version: str
    architecture: str
    source_version: str


class DescriptionReader(Protocol):
    """
    Reads the whole package in *file*; `InputError` when it is damaged, or when the build may not make it.  *file_name*:
    the name under which it was sent.  The other arguments are those of `built_packages.built_packages`.
    """

    def __call__(
        self, file: IO[bytes], file_name: str, *, source: SourcePackage, architecture: str, suffix: str
    ) -> Description: ...


def wrong_package(file_name: str, is_what: str, source: SourcePackage, architecture: str) -> InputError:
    """
    The error for a package that the build may not make.  *is_what*: like "is for arm64".
    """
    return InputError(f"{file_name!r:.200} {is_what:.200}, but {source} was built for {architecture}.")


def misnamed(file_name: str, package: str) -> InputError:
    """
    The error for a file that does not have the name of the *package* in it.
    """
    return InputError(f"{file_name!r:.200} is {package:.200} under another name: do not rename what the build makes.")
