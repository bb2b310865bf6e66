"""
The shipped steps.  ``step`` has the base class; the others use only what a user's step may use, too.

What they are made of:

- ``step``: the base class; ``recipe``: how each build makes its own step; ``context``: the interface through which a
  running step acts; ``buildbot_style`` and ``own_logs``: methods and logs under Buildbot's names; ``own_steps``: checks
  of the classes in master.cfg.
- ``argument``: declarations of arguments; ``argument_checks``: their checks (``value_checks``, ``path_checks``,
  ``command_checks``); ``master_paths``: paths that lead out of a directory.
- ``outcomes``: the result of a step from the outcome of a command; ``mixins``: commands of programs.
- ``source_step``: what all steps that check out share; ``git_commands``: the git commands on the slave;
  ``git_credentials``: keys and passwords.
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
from .submitted import SubmittedFile, Unpack
from .subunit import SubunitShellCommand
from .svn import SVN
from .tools import CMake, PyFlakes, PyLint, RemovePYCs, Sphinx, TreeSize, Trial
from .transfer import DirectoryUpload, FileDownload, FileUpload, StringDownload
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
