"""
All exceptions that buildbot_lite raises on purpose.

They have one base class: code at the boundaries (the command, the wire, a tap) prints ``str(error)`` to the user and
logs any other exception with its traceback.  The docstring of each class is the default sentence for the user.
"""

import inspect
from collections.abc import Sequence


def sentence(error: Exception) -> str:
    """
    The sentence for the user about *error*; for an `OSError` the file name and the system's message.
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error)


class BuildbotLiteError(Exception):
    """
    Base class of all errors that buildbot_lite raises on purpose.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or " ".join(inspect.cleandoc(self.__doc__ or "").split()))


class ConfigError(BuildbotLiteError):
    """
    The configuration cannot be used.  See the lines above.
    """


class PortError(ConfigError):
    """
    The master cannot listen at its port.  Choose another one with c['port'] in master.cfg.
    """

    def __init__(self, sentence: str = "", errno: int | None = None) -> None:
        super().__init__(sentence)
        self.errno = errno


class FurlError(BuildbotLiteError):
    """
    That is not a FURL.  Copy the whole string, from ``pb://`` to its last character, out of buildslave.furls.
    """


class RefusedError(BuildbotLiteError):
    """
    The other side refused.  Its own sentence follows.
    """


class DefectError(RefusedError):
    """
    The other side failed with an internal error.  Its log has the details.
    """


class RevokedError(RefusedError):
    """
    This string is no longer valid.  Ask the farm's admin for a new one.
    """


class UnknownStringError(RefusedError):
    """
    The farm does not know this string.  Copy the whole of it again, or ask the farm's admin for a new one.
    """


class WrongVerbError(RefusedError):
    """
    This string is for something else.  Slaves take theirs from buildslave.furls, submitters from submit.furls.
    """


class PinnedError(RefusedError):
    """
    Another machine has already used this string.  If that machine is gone, run on the master: buildbot-lite unpin NAME
    """


class SupersededError(RefusedError):
    """
    This master is an older copy of a farm that was restored from a backup: the slave has already worked for the
    restored one.  Stop the copy.  If it is the right one after all: back it up, and restore that.
    """


class NeedsHolderError(RefusedError):
    """
    The pages of this farm are private.  Get a code for this browser with: buildbot-lite grant control --web DIR
    """


class LimitError(RefusedError):
    """
    The limits of this string do not permit this.  Ask the farm's admin for another string.
    """


class DirectoryBusyError(BuildbotLiteError):
    """
    Another process already works in this directory.  Stop it first.
    """


class MessageError(BuildbotLiteError):
    """
    The other side sent something that the contract does not allow.
    """


class WebhookError(BuildbotLiteError):
    """
    A webhook cannot be taken; *status*: the HTTP status that says so.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class UnsafePathError(BuildbotLiteError):
    """
    A path may not be absolute, nor lead out of its directory.
    """


class NameNotAllowedError(BuildbotLiteError):
    """
    A name is 1 to 80 letters, digits and ``. _ + -``, and does not begin with a dot or a dash.
    """


class StorageError(BuildbotLiteError):
    """
    The farm's records cannot be read or written.
    """


class NewerDatabaseError(StorageError):
    """
    This database was written by a newer buildbot_lite.  Install that version, or restore the backup made before it.
    """


class RecordsClosedError(StorageError):
    """
    The farm's records are closed: the master is stopping.
    """


class RecordsFailingError(StorageError):
    """
    The farm's database cannot be used now.  Whatever waits for it continues by itself when it can be used again.
    """


class ReadTooLongError(StorageError):
    """
    A query took longer than a reader may stay in a transaction.
    """


class TooManyRowsError(ReadTooLongError):
    """
    A query has more rows than a transaction may read, whenever it is asked.
    """


class DatabaseFullError(RecordsFailingError):
    """
    The disk with the farm's database is full.  Make room; whatever waits here then continues by itself.
    """


class DatabaseLockedError(RecordsFailingError):
    """
    Another program has locked the farm's database.  End that program; whatever waits here then continues by itself.
    """


class FileError(StorageError):
    """
    A file or directory cannot be read, written or removed.
    """


class DiskFullError(FileError):
    """
    The disk is full.  Make room; whatever waits here then continues by itself.
    """


class NameRefusedError(FileError):
    """
    The file system does not accept a file with that name in that directory.
    """


class LinkLostError(BuildbotLiteError):
    """
    The connection was lost.
    """


class KeeperLostError(BuildbotLiteError):
    """
    The keeper, the process that runs this machine's commands, has ended.  Its commands are lost.
    """


class NotFoundError(BuildbotLiteError):
    """
    There is no such thing in this farm.
    """


class LoosePermissionsError(BuildbotLiteError):
    """
    Others on this machine can read a file with a string, a key or the records.
    """


class LostStringError(BuildbotLiteError):
    """
    This string is still valid, but the farm cannot show it any more.
    """


class NotRunningError(BuildbotLiteError):
    """
    The master is not running.  Start it with: buildbot-lite start DIR
    """


class NoAnswerError(NotRunningError):
    """
    No master answers.  Start it with: buildbot-lite start DIR
    """


class ReplayError(BuildbotLiteError):
    """
    The build cannot be continued from its journal, because its steps now do something else.
    """


class InputError(BuildbotLiteError):
    """
    The submission cannot be used.
    """


class WrongValuesError(InputError):
    """
    Some of the given values are wrong.  Correct them.
    """

    def __init__(self, sentence: str = "", problems: Sequence[tuple[str, str]] = ()) -> None:
        """
        *problems*: for each value its full name, and the sentence about it; the name is "" where there is none.
        """
        super().__init__(sentence or "\n".join(each for _, each in problems))
        self.problems = tuple(problems)


class UserFunctionOverdueError(BuildbotLiteError):
    """
    A function of master.cfg took too long and was ended.
    """


class PropertyError(BuildbotLiteError):
    """
    A property cannot have this value, or an argument cannot be rendered from the build's properties.
    """
