"""
The shipped steps.  ``step`` has the base class; the others use its public parts only.

Their parts: ``context`` (the interface of a running step), ``buildbot_style`` (Buildbot's methods), ``argument``
(declarations), ``argument_checks``, ``outcomes`` (from a command's outcome to a result),
``source_step`` (what all steps that check out share), and for `Git` ``git_commands`` (what runs on the slave) and
``git_credentials`` (keys and passwords).
"""

from .counting import Compile, Test, WarningCountingShellCommand
from .directories import CopyDirectory, FileExists, MakeDirectory, RemoveDirectory
from .git import Gerrit, Git, GitHub, GitLab
from .git_diff_info import GitDiffInfo
from .git_writing import GitCommit, GitPush, GitTag
from .http_step import DELETE, GET, HEAD, OPTIONS, POST, PUT, HTTPStep
from .mercurial import Mercurial
from .more_transfers import JSONPropertiesDownload, JSONStringDownload, MultipleFileUpload
from .package_checks import DebLintian, RpmLint
from .properties import Assert, LogRenderable, SetProperties, SetPropertiesFromEnv, SetProperty
from .sequence import ShellSequence
from .shell import (
    Configure,
    MasterShellCommand,
    SetPropertyFromCommand,
    ShellCommand,
)
from .step import BuildStep
from .subunit import SubunitShellCommand
from .svn import SVN
from .tools import CMake, PyFlakes, PyLint, RemovePYCs, Sphinx, TreeSize, Trial
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
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "SVN",
    "Assert",
    "BuildStep",
    "CMake",
    "Compile",
    "Configure",
    "CopyDirectory",
    "DebLintian",
    "DirectoryUpload",
    "FileDownload",
    "FileExists",
    "FileUpload",
    "Gerrit",
    "Git",
    "GitCommit",
    "GitDiffInfo",
    "GitHub",
    "GitLab",
    "GitPush",
    "GitTag",
    "HTTPStep",
    "JSONPropertiesDownload",
    "JSONStringDownload",
    "LogRenderable",
    "MakeDirectory",
    "MasterShellCommand",
    "Mercurial",
    "MultipleFileUpload",
    "PyFlakes",
    "PyLint",
    "RemoveDirectory",
    "RemovePYCs",
    "RpmLint",
    "SetProperties",
    "SetPropertiesFromEnv",
    "SetProperty",
    "SetPropertyFromCommand",
    "ShellCommand",
    "ShellSequence",
    "Sphinx",
    "StringDownload",
    "SubmittedFile",
    "SubunitShellCommand",
    "Test",
    "TreeSize",
    "Trial",
    "Trigger",
    "Unpack",
    "WarningCountingShellCommand",
]
