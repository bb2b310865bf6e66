"""
The steps that are shipped.  ``step`` says what a step is; each of the others is made of its public parts only.

Besides, there is what steps are made with: ``argument_checks`` (of arguments), ``outcomes`` (what a command's end
means), and for `Git` ``git_commands`` (git's words) and ``git_credentials`` (its secrets).
"""

from .directories import MakeDirectory, RemoveDirectory
from .git import Git
from .properties import SetProperties, SetProperty
from .shell import (
    Compile,
    Configure,
    MasterShellCommand,
    SetPropertyFromCommand,
    ShellCommand,
    Test,
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
]
