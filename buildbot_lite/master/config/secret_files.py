"""
The interface of providers of secrets, and the provider that reads files; `secret_stores` has the others.

A provider is called when a command that needs the secret starts, and not earlier.  The value is sent to the keeper of
the slave, and is not stored anywhere.
"""

import os
import stat
from typing import Any, Protocol, runtime_checkable

from ...errors import ConfigError
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .mistakes import note, once_loaded
from .placeholders import placeholder

# The keeper masks values in logs.  Shorter ones would match much other text, and could be guessed from what is masked.
SHORTEST_SECRET = 6
LARGEST_SECRET = 64 << 10
MOST_FILES = 1000


@runtime_checkable
class Provider(Protocol):
    """
    A source of secrets.

    With ``slow = True``, `value` may block and is called in a thread; `names` must not block.
    """

    def value(self, basedir: str, name: str) -> str | None:
        """
        The value of the secret *name*; None if this provider does not have it; `ConfigError` if it cannot be used.
        *basedir*: the master's directory.
        """

    def names(self, basedir: str) -> list[str]:
        """
        The names of the secrets.
        """


class SecretStore(metaclass=NotingType):
    """
    The base of the providers that are shipped.
    """

    def get(self, entry: Any) -> Any:
        """
        Note a mistake: a secret is looked up when a command starts, and never while master.cfg is read.
        """
        note(f"{type(self).__name__}: get gives no secret to master.cfg.  Write util.Secret({entry!r:.60}) instead.")
        return placeholder("get")


class SecretInAFile(SecretStore):
    """
    Secrets in the files of a directory: the name of a file is the name of the secret, its contents the value.

    *dirname*: the directory, relative to the master's.  *suffixes*: endings of files that are not part of the secret's
    name.  *strip*: remove white space at both ends, such as the last newline of a file; default True.

    A file that users other than its owner may read or write is refused.
    """

    def __init__(self, dirname: Any, suffixes: Any = ("",), strip: Any = True) -> None:
        arguments = ArgumentChecker("SecretInAFile", self)
        self.dirname = arguments.text("dirname", dirname)
        self.suffixes = arguments.texts("suffixes", [""] if suffixes is None else suffixes) or ("",)
        self.strip = arguments.flag("strip", strip)
        once_loaded(lambda config: self.why_unreadable(config.basedir), of=self)

    def names(self, basedir: str) -> list[str]:
        """
        The names of the secrets; at most 1000.
        """
        directory = os.path.join(basedir, self.dirname)
        try:
            files = sorted(os.listdir(directory))[:MOST_FILES]
        except OSError as error:
            raise ConfigError(f"The secrets' directory {self.dirname!r} cannot be read: {error.strerror}.") from None
        names_of_files = {
            file.removesuffix(suffix)
            for file in files
            for suffix in self.suffixes
            if file.endswith(suffix) and os.path.isfile(os.path.join(directory, file))
        }
        return sorted(names_of_files - {""})

    def value(self, basedir: str, name: str) -> str | None:
        """
        The contents of the file; None if it does not exist.
        """
        if "/" in name or name.startswith("."):
            return None
        for suffix in self.suffixes:
            try:
                # O_NONBLOCK, because to open a named pipe could wait for ever.
                descriptor = os.open(
                    os.path.join(basedir, self.dirname, name + suffix), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
                )
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigError(f"The secret {name!r} cannot be read: {error.strerror}.") from None
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ConfigError(f"The secret {name!r} is not a plain file.")
                if status.st_mode & 0o077:
                    path = os.path.join(self.dirname, name + suffix)
                    raise ConfigError(f"The secret {name!r} can be read by other users.  Run: chmod 600 {path}")
                return usable(name, os.read(descriptor, LARGEST_SECRET + 1), strip=self.strip)
            finally:
                os.close(descriptor)
        return None

    def why_unreadable(self, basedir: str) -> str | None:
        """
        Why the directory cannot be read, in a sentence; None if it can.
        """
        try:
            self.names(basedir)
        except ConfigError as error:
            return str(error)
        return None


def usable(name: str, contents: bytes, *, strip: bool = True) -> str:
    """
    The value of the secret *name*, decoded from *contents*; `ConfigError` if it cannot be used, or not be masked.
    """
    if len(contents) > LARGEST_SECRET:
        raise ConfigError(f"The secret {name!r} has more than {LARGEST_SECRET} bytes.")
    try:
        text = contents.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"The secret {name!r} is not UTF-8 text.") from None
    text = text.strip() if strip else text
    if len(text.encode()) < SHORTEST_SECRET:
        raise ConfigError(
            f"The secret {name!r} has fewer than {SHORTEST_SECRET} bytes, and could not be hidden in logs.  "
            "Use a longer one."
        )
    if "\0" in text:
        raise ConfigError(f"The secret {name!r} has a NUL byte in it, which no program can be given: remove it.")
    return text
