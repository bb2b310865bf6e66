r"""
Specifications of commands: a step's requests to a slave.

A spec is a value.  The build's journal records it before the command starts, and the slave receives it as JSON.  It
contains only the names of secrets: the keeper replaces ``"\0NAME\0"`` in arguments, environment values and private
files by the value, which the master sends beside the spec, and which is not stored anywhere.  (The delimiter is NUL,
because arguments and environment values cannot contain it.)

Paths are relative to the slave's ``work`` directory, and do not lead out of it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from attrs import field, fields, frozen

from ..errors import MessageError
from .json_reader import JsonReader, encode
from .names import relative_path

LARGEST_SPEC = 4 << 20
SECRET_REFERENCE = re.compile("\0([^\0]{1,80})\0")

# Buildbot's default for ``timeout``: seconds without output.
DEFAULT_TIMEOUT = 1200.0
# Seconds between the first signal and SIGKILL.
DEFAULT_SIGTERM_TIME = 10.0
# Seconds that packing, unpacking or removing a directory may take.
DEFAULT_MAX_TIME = 3600.0
# Bounds of an unpacked archive: bytes and members.
LARGEST_UNPACKED = 10 << 30
MOST_MEMBERS = 1_000_000


def secret_reference(name: str) -> str:
    """
    The reference to the secret *name* in a spec.
    """
    return f"\0{name}\0"


def added(default: Any) -> Any:
    """
    A field that was added later.  The document omits it if it has its *default*, so that a spec that does not use it
    has the same fingerprint before and after an upgrade.
    """
    return field(default=default, metadata={"added": True})


@frozen
class Run:
    """
    Run a process.

    *argv*: the program and its arguments; or *script*: one string for ``/bin/sh -c``.
    *env*: variables to add to the slave's environment; None removes a variable.
    *stdin*: text for standard input, or None; *stdin_input*: the name of a build input to use instead.
    *timeout*: seconds without output after which the process is killed; *max_time*: seconds after which it is killed in
    any case; None: never.
    *logfiles*: log name → path of a file to follow, relative to *workdir*.
    *cap*: bytes of output after which the process is killed; None: no cap.
    *files*: environment variable → contents of a private file (mode 0600) whose path the variable gets.
    *grace*: seconds without a message from the master after which the keeper kills the process; None: never.
    *leave_running*: do not kill the processes that remain after the main process has ended.
    """

    kind: ClassVar[str] = "run"
    argv: tuple[str, ...] = ()
    script: str | None = None
    workdir: str = "."
    env: Mapping[str, str | None] = field(factory=dict)
    stdin: str | None = None
    stdin_input: str | None = None
    timeout: float | None = DEFAULT_TIMEOUT
    max_time: float | None = None
    interrupt_signal: str = "TERM"
    sigterm_time: float = DEFAULT_SIGTERM_TIME
    logfiles: Mapping[str, str] = field(factory=dict)
    cap: int | None = None
    pty: bool = False
    separate_stderr: bool = False
    files: Mapping[str, str] = field(factory=dict)
    grace: float | None = 1800.0
    leave_running: bool = False

    @classmethod
    def read(cls, reader: JsonReader) -> "Run":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(
            argv=tuple(reader.texts("argv", [])),
            script=reader.optional("script", reader.text),
            workdir=relative_path(reader.text("workdir", ".")),
            env=_texts_or_none(reader, "env"),
            stdin=reader.optional("stdin", reader.text),
            stdin_input=reader.optional("stdin_input", reader.text),
            timeout=reader.optional("timeout", reader.number),
            max_time=reader.optional("max_time", reader.number),
            interrupt_signal=reader.text("interrupt_signal", "TERM", limit=20),
            sigterm_time=reader.number("sigterm_time", DEFAULT_SIGTERM_TIME),
            logfiles=_texts(reader, "logfiles"),
            cap=reader.optional("cap", reader.integer),
            pty=reader.flag("pty", default=False),
            separate_stderr=reader.flag("separate_stderr", default=False),
            files=_texts(reader, "files"),
            grace=reader.optional("grace", reader.number),
            leave_running=reader.flag("leave_running", default=False),
        )


@frozen
class Upload:
    """
    Send the file *path* to the master as the stream "artifact".  *largest*: the largest size in bytes; None: no limit.
    """

    kind: ClassVar[str] = "upload"
    path: str
    largest: int | None = None

    @classmethod
    def read(cls, reader: JsonReader) -> "Upload":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(relative_path(reader.text("path")), reader.optional("largest", reader.integer))


@frozen
class UploadDirectory:
    """
    Send the directory *path* to the master as the stream "artifact", an uncompressed tar archive.  *largest*: the
    largest size in bytes; *max_time*: seconds that packing may take; None: no limit.
    """

    kind: ClassVar[str] = "upload-directory"
    path: str
    largest: int | None = None
    max_time: float | None = added(DEFAULT_MAX_TIME)

    @classmethod
    def read(cls, reader: JsonReader) -> "UploadDirectory":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(relative_path(reader.text("path")), reader.optional("largest", reader.integer), _max_time(reader))


@frozen
class Download:
    """
    Fetch the input *name* of *size* bytes from the master into the file *path*, which appears completely or not at all.

    *mode*: permission bits.  *sha256*: checksum of the contents.  *unpack*: the input is a tar archive (possibly
    compressed), which is unpacked into the directory *path*; it may have at most *members* members and *largest* bytes
    unpacked, and unpacking may take *max_time* seconds (None: no limit).
    """

    kind: ClassVar[str] = "download"
    path: str
    name: str
    size: int
    sha256: str
    mode: int = 0o644
    unpack: bool = False
    largest: int = added(LARGEST_UNPACKED)
    members: int = added(MOST_MEMBERS)
    max_time: float | None = added(DEFAULT_MAX_TIME)

    @classmethod
    def read(cls, reader: JsonReader) -> "Download":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(
            relative_path(reader.text("path")),
            reader.text("name", limit=200),
            reader.integer("size"),
            reader.text("sha256", limit=64),
            reader.integer("mode", 0o644, most=0o777),
            reader.flag("unpack", default=False),
            reader.integer("largest", LARGEST_UNPACKED),
            reader.integer("members", MOST_MEMBERS),
            _max_time(reader),
        )


@frozen
class MakeDirectory:
    """
    Make the directory *path* and its missing parents.
    """

    kind: ClassVar[str] = "mkdir"
    path: str

    @classmethod
    def read(cls, reader: JsonReader) -> "MakeDirectory":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(relative_path(reader.text("path")))


@frozen
class RemoveDirectory:
    """
    Remove the directory *path* with its contents; succeeds if it does not exist.  *max_time*: seconds that removing may
    take; None: no limit.
    """

    kind: ClassVar[str] = "rmdir"
    path: str
    max_time: float | None = added(DEFAULT_MAX_TIME)

    @classmethod
    def read(cls, reader: JsonReader) -> "RemoveDirectory":
        """
        The spec with the fields of *reader*; `MessageError` or `UnsafePathError` when one is not valid.
        """
        return cls(relative_path(reader.text("path")), _max_time(reader))


Spec: TypeAlias = Run | Upload | UploadDirectory | Download | MakeDirectory | RemoveDirectory

_KINDS: dict[str, type[Spec]] = {
    cls.kind: cls for cls in (Run, Upload, UploadDirectory, Download, MakeDirectory, RemoveDirectory)
}


def to_document(spec: Spec) -> dict[str, Any]:
    """
    *spec* as a JSON object.
    """
    document: dict[str, Any] = {"kind": spec.kind}
    for each in fields(type(spec)):
        value = getattr(spec, each.name)
        if not (each.metadata.get("added") and value == each.default):
            document[each.name] = list(value) if isinstance(value, tuple) else value
    return document


def to_bytes(spec: Spec, secrets: Mapping[str, str]) -> bytes:
    """
    The message as sent: the spec and, beside it, the values of the secrets that it refers to.
    """
    return encode({"spec": to_document(spec), "secrets": dict(secrets)})


def from_document(document: object) -> Spec:
    """
    The spec in the JSON object *document*; `MessageError` or `UnsafePathError` if it is not valid.
    """
    reader = JsonReader(document, "the spec")
    kind = reader.text("kind", limit=40)
    if kind not in _KINDS:
        raise MessageError(f"This slave does not know how to {kind!r}.  Its buildbot_lite is older than the master's.")
    return _KINDS[kind].read(reader)


def from_bytes(data: bytes) -> tuple[Spec, dict[str, str]]:
    """
    The spec and its secrets in the message *data*; `MessageError` or `UnsafePathError` when it is not valid.
    """
    reader = JsonReader.decode(data, "the order to start", LARGEST_SPEC)
    return from_document(reader.mapping("spec")), _texts(reader, "secrets")


def fingerprint(spec: Spec) -> str:
    """
    The SHA-256 of *spec* in 64 hexadecimal digits; values of secrets are not part of it.
    """
    return hashlib.sha256(encode(to_document(spec))).hexdigest()


def _max_time(reader: JsonReader) -> float | None:
    # An absent field means the default, null means no limit.
    seconds = reader.optional("max_time", reader.number) if "max_time" in reader.document else DEFAULT_MAX_TIME
    if seconds is not None and seconds < 0:
        raise MessageError("max_time must not be negative.")
    return seconds


def _texts(reader: JsonReader, name: str) -> dict[str, str]:
    texts = _texts_or_none(reader, name)
    if None in texts.values():
        raise MessageError(f"{name} has an empty value.")
    return {key: value for key, value in texts.items() if value is not None}


def _texts_or_none(reader: JsonReader, name: str) -> dict[str, str | None]:
    values = reader.mapping(name, {})
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise MessageError(f"{name} has a value that is not text.")
    return values
