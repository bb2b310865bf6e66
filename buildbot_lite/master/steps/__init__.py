"""
The steps that are shipped.  ``base`` says what a step is; each of the others is made of its public parts only.
"""

from .base import BuildStep
from .directories import MakeDirectory, RemoveDirectory
from .properties import SetProperties, SetProperty
from .shell import Compile, Configure, MasterShellCommand, SetPropertyFromCommand, ShellCommand, Test

__all__ = [
    "BuildStep",
    "Compile",
    "Configure",
    "MakeDirectory",
    "MasterShellCommand",
    "RemoveDirectory",
    "SetProperties",
    "SetProperty",
    "SetPropertyFromCommand",
    "ShellCommand",
    "Test",
]
