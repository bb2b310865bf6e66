"""
Secrets from the master's environment, and from ``pass``, the standard Unix password store.

All children inherit an environment variable, and ``ps e`` and /proc/PID/environ (proc(5)) show it to all processes of
the same user, which may be commands of builds.  So secrets are removed from the environment as soon as the
configuration makes the provider, and overwritten in the memory that the kernel shows.  ``pass`` runs gpg, which may
wait for a passphrase for ever; so it is called in a thread, with a limit of 30 seconds.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ...errors import ConfigError
from .arguments import ArgumentChecker
from .mistakes import once_loaded
from .secret_files import (
    LARGEST_SECRET,
    MOST_FILES,
    SecretStore,
    usable,
)

DEFAULT_PREFIX = "BUILDBOT_SECRET_"
PASS_TIMEOUT = 30.0
_LONGEST_PASSPHRASE = 1000  # fits in a pipe's buffer, so that writing it does not block
_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}\Z")
# Variables removed from the environment, kept while this process lives: a reconfig needs their values again.
_variables: dict[str, str] = {}


def taken() -> dict[str, str]:
    """
    Name → value of the variables that were removed from the environment.  All values are secrets.
    """
    return dict(_variables)


class SecretInEnvironment(SecretStore):
    """
    Secrets in environment variables of the master, named *prefix* and the name of the secret.

    A shell cannot set variables of all names.  So the secret ``deploy-key`` is the first of these variables that
    exists: BUILDBOT_SECRET_deploy-key, BUILDBOT_SECRET_deploy_key, BUILDBOT_SECRET_DEPLOY_KEY.

    All variables with the prefix are removed from the environment, so that no child of the master inherits them.
    """

    def __init__(self, prefix: Any = DEFAULT_PREFIX) -> None:
        arguments = ArgumentChecker("SecretInEnvironment", self)
        self.prefix = prefix if isinstance(prefix, str) else ""
        if not _PREFIX.match(self.prefix):
            # An empty prefix would make the whole environment a secret, including PATH.
            arguments.wrong("prefix", prefix, 'the beginning of variables\' names, like "BUILDBOT_SECRET_"')
            self.prefix = DEFAULT_PREFIX
        _take(self.prefix)

    def names(self, basedir: str) -> list[str]:
        """
        The names of the variables without the prefix.
        """
        _take(self.prefix)
        return sorted(name.removeprefix(self.prefix) for name in _variables if name.startswith(self.prefix))

    def value(self, basedir: str, name: str) -> str | None:
        """
        The value of the variable; None if it does not exist.
        """
        _take(self.prefix)
        plain = re.sub("[^A-Za-z0-9_]", "_", name)
        for variable in (name, plain, plain.upper()):
            secret = _variables.get(self.prefix + variable)
            if secret is not None:
                return usable(name, os.fsencode(secret))
        return None


class SecretInPass(SecretStore):
    """
    Secrets in ``pass``: the name of an entry is the name of the secret.

    By the convention of ``pass``, the value is the first line of the entry; it is the whole entry if that begins with
    ``-----BEGIN``, as a key does.  *gpgPassphrase*: the passphrase of the key that encrypts the store, needed unless
    gpg-agent has it; gpg gets it through a pipe.  (The text of master.cfg is kept with builds, so read the passphrase
    from a file.)  *dirname*: the directory of the store; default: PASSWORD_STORE_DIR or ``~/.password-store``.
    """

    slow = True

    def __init__(self, gpgPassphrase: Any = None, dirname: Any = None) -> None:  # noqa: N803 - Buildbot's name
        arguments = ArgumentChecker("SecretInPass", self)
        usable_one = gpgPassphrase is None or (
            isinstance(gpgPassphrase, str) and len(gpgPassphrase) <= _LONGEST_PASSPHRASE
        )
        self._passphrase: str | None = gpgPassphrase if usable_one else None
        if not usable_one:
            arguments.note("gpgPassphrase must be text of at most 1000 characters.")  # without the value
        self.dirname = None if dirname is None else arguments.text("dirname", dirname)
        once_loaded(lambda config: self._why_unusable(config.basedir), of=self)

    def names(self, basedir: str) -> list[str]:
        """
        The names of the entries in the top directory of the store, at most 1000.  Nothing is decrypted.
        """
        try:
            entries = sorted(os.listdir(self._store(basedir)))[:MOST_FILES]
        except OSError as error:
            raise ConfigError(f"The password store {self._store(basedir)} cannot be read: {error.strerror}.") from None
        return [entry.removesuffix(".gpg") for entry in entries if entry.endswith(".gpg") and not entry.startswith(".")]

    def value(self, basedir: str, name: str) -> str | None:
        """
        The output of ``pass show``; None if there is no such entry.  Blocks for at most `PASS_TIMEOUT` seconds.
        """
        if "/" in name or name.startswith((".", "-")):
            return None
        if not os.path.isfile(os.path.join(self._store(basedir), f"{name}.gpg")):
            return None
        whole = self._shown(basedir, name)
        if whole.startswith(b"-----BEGIN"):
            return usable(name, whole)
        return usable(name, whole.partition(b"\n")[0])

    def _shown(self, basedir: str, name: str) -> bytes:
        with self._environment(basedir) as (env, descriptors):
            try:
                process = subprocess.Popen(
                    ["pass", "show", name],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(f"The secret {name!r} cannot be read: pass does not run: {error.strerror}.") from None
        try:
            out, errors = process.communicate(timeout=PASS_TIMEOUT)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.communicate()
            raise ConfigError(
                f"The secret {name!r} cannot be read: pass did not answer within {PASS_TIMEOUT:.0f} s.  Does gpg wait "
                "for a passphrase?  Give SecretInPass a gpgPassphrase, or unlock gpg-agent."
            ) from None
        if process.returncode:
            # Only standard error: standard output may contain a part of the secret.
            last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError(f"The secret {name!r} cannot be read: pass says: {last_line:.300}")
        return out[: LARGEST_SECRET + 1]

    @contextmanager
    def _environment(self, basedir: str) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
        env = {**os.environ, "PASSWORD_STORE_DIR": self._store(basedir)}
        if self._passphrase is None:
            yield env, ()
            return
        # Arguments and environment variables of a process are visible in ps (proc(5)); a pipe is not.
        read, write = os.pipe()
        try:
            os.write(write, self._passphrase.encode() + b"\n")
            os.close(write)
            options = (
                f"{env.get('PASSWORD_STORE_GPG_OPTS', '')} --batch --pinentry-mode=loopback --passphrase-fd={read}"
            )
            yield {**env, "PASSWORD_STORE_GPG_OPTS": options}, (read,)
        finally:
            os.close(read)

    def _store(self, basedir: str) -> str:
        default = os.environ.get("PASSWORD_STORE_DIR") or os.path.expanduser("~/.password-store")
        return os.path.join(basedir, self.dirname or default)

    def _why_unusable(self, basedir: str) -> str | None:
        if shutil.which("pass") is None:
            return "SecretInPass: there is no program called pass here.  Install it (Debian: apt install pass)."
        try:
            self.names(basedir)
        except ConfigError as error:
            return str(error)
        return None


def _take(prefix: str) -> None:
    for name in [name for name in os.environ if name.startswith(prefix)]:
        _overwrite(name)
        _variables[name] = os.environ.pop(name)


def _overwrite(name: str) -> None:
    """
    Overwrite the value of the variable in memory: /proc/PID/environ shows that memory to all processes of the same
    user, even after unsetenv(3).
    """
    with suppress(AttributeError, OSError):
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        address = getenv(os.fsencode(name))
        if address:
            ctypes.memset(address, ord("*"), len(ctypes.string_at(address)))
