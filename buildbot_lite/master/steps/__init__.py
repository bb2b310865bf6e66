"""
The shipped steps.  ``step`` has the base class; the others use its public parts only.

Their parts: ``argument`` (declarations), ``argument_checks``, ``outcomes`` (from a command's outcome to a result), and
for `Git` ``git_commands`` (what runs on the slave) and ``git_credentials`` (keys and passwords).
"""

from .counting import Compile, Test, WarningCountingShellCommand
from .directories import MakeDirectory, RemoveDirectory
from .git import Git
from .properties import SetProperties, SetProperty
from .shell import (
    Configure,
    MasterShellCommand,
    SetPropertyFromCommand,
    ShellCommand,
)
from .step import BuildStep
from .transfer import (
    DirectoryUpload,
    FileDownload,
    FileUpload,
    StringDownload,
    SubmittedFile,
    Unpack,
)
from .trigger import Trigger

__all__ = [
    "BuildStep",
    "Compile",
    "Configure",
    "DirectoryUpload",
    "FileDownload",
    "FileUpload",
    "Git",
    "MakeDirectory",
    "MasterShellCommand",
    "RemoveDirectory",
    "SetProperties",
    "SetProperty",
    "SetPropertyFromCommand",
    "ShellCommand",
    "StringDownload",
    "SubmittedFile",
    "Test",
    "Trigger",
    "Unpack",
    "WarningCountingShellCommand",
]
