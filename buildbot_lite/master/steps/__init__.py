"""
The steps that are shipped.  ``base`` says what a step is; each of the others is made of its public parts only.

Besides, there is what steps are made with: ``checks`` (of arguments), ``verdict`` (what a command's end means), and for
`Git` ``repository`` (git's words) and ``access`` (its secrets).
"""

from .base import BuildStep
from .directories import MakeDirectory, RemoveDirectory
from .properties import SetProperties, SetProperty
from .shell import (
    Compile,
    Configure,
    MasterShellCommand,
    SetPropertyFromCommand,
    ShellCommand,
    Test,
)
from .source import Git
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
