"""
How the text of a master.cfg becomes a configuration, or a list of all its mistakes.

A loaded configuration is a *generation*: the texts of master.cfg and of its own modules, identified by their hash.  The
texts are kept while an unfinished build needs the generation; `load` makes the same configuration from them again,
beside newer ones, and whatever the directory contains by then.
"""

import hashlib
import importlib.util
import os
from collections.abc import Mapping

from attrs import frozen

from ...errors import BuildbotLiteError, ConfigError
from ...model.code_owner import STORED
from ...model.json_reader import encode
from ...model.time_limit import OverdueError, call_within
from .assembly import assemble
from .executed_line import MAIN_FILE, SourceLine
from .keys import OWN_KEYS, AnyKey
from .master_config import MasterConfig
from .mistakes import Mistake, Mistakes, MistakesError, collecting, in_reading_order
from .modules import Modules
from .own_files import LARGEST_FILES, Sources
from .property_uses import remark_on_unset
from .source_texts import key_lines


@frozen
class Generation:
    """
    A loaded configuration.

    *hash*: of its files.  *files*: name → text of master.cfg and its modules.  *keys*: those that ``c`` could have.
    *remarks*: sentences about things in it that are allowed but have no effect here.
    """

    hash: str
    files: Mapping[str, str]
    config: MasterConfig
    keys: Mapping[str, AnyKey] = OWN_KEYS
    remarks: tuple[Mistake, ...] = ()


def load(
    basedir: str,
    text: str | None = None,
    files: Mapping[str, str] | None = None,
    *,
    seconds: float | None = None,
    keys: Mapping[str, AnyKey] = OWN_KEYS,
) -> Generation:
    """
    Load the configuration of the master in *basedir*; `MistakesError` with all its mistakes.

    *text*: the text to use instead of master.cfg's.  *files*: the files of an earlier generation; then nothing is read
    from the directory, and checks that look outside the configuration (secrets, for example) are left out.  *seconds*:
    the longest time that it may take; None: no limit.  *keys*: the keys that ``c`` may have.
    """
    basedir = os.path.abspath(basedir)
    if files is None:
        sources = Sources(basedir, {MAIN_FILE: _main_text(basedir) if text is None else text}, reading=True)
        label = basedir
    else:
        sources = Sources(basedir, files, reading=False)
        label = f"{STORED}{hash_of(files)[:12]}>"
    modules = Modules(sources, label)
    with collecting(modules.files, sources.texts) as mistakes:
        c = _executed(modules, basedir, mistakes, seconds)
        if files is not None and isinstance(c, Mapping):
            # Running builds need no pages, and must not be lost because of what an earlier version did not check.
            c = {key: value for key, value in c.items() if key != "www"}
        places = {key: SourceLine(*place) for key, place in key_lines(sources.texts, MAIN_FILE).items()}
        config = assemble(c, basedir, places, keys)
        if files is None:
            mistakes.check(config)
            remark_on_unset(mistakes, config)
        mistakes.raise_any()
    # From now on, imports in functions of the configuration find only these texts, as they will in a replay.
    sources.reading = False
    texts = dict(sorted(sources.texts.items()))
    return Generation(hash_of(texts), texts, config, keys, in_reading_order(mistakes.remarks))


def hash_of(files: Mapping[str, str]) -> str:
    """
    The hash of a generation with these *files*: a SHA-256, in hexadecimal.
    """
    return hashlib.sha256(encode(dict(files))).hexdigest()


def _main_text(basedir: str) -> str:
    path = os.path.join(basedir, MAIN_FILE)
    try:
        with open(path, "rb") as file:
            contents = file.read(LARGEST_FILES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return importlib.util.decode_source(contents)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise MistakesError([Mistake(SourceLine(), f"The file is not text: {error}.")]) from None


def _executed(modules: Modules, basedir: str, mistakes: Mistakes, seconds: float | None) -> object:
    try:
        names = call_within(seconds, modules.execute_main, {"basedir": basedir})
    except (Exception, SystemExit, OverdueError) as error:
        # Reported together with the mistakes that were noted before.
        mistakes.add(_as_mistake(error, modules.files))
        raise MistakesError(mistakes.found) from error
    return names.get("BuildmasterConfig", names.get("c"))


def _sentence(error: BaseException) -> str:
    if isinstance(error, BuildbotLiteError):
        return str(error)
    if isinstance(error, OverdueError):
        return "Loading master.cfg took too long; this line was running when it was ended."
    if isinstance(error, MemoryError):
        return "Loading master.cfg needed more memory than it may have."
    return f"{type(error).__name__}: {error!s:.500}"


def _as_mistake(error: BaseException, files: Mapping[str, str]) -> Mistake:
    if isinstance(error, SyntaxError) and error.filename is not None and error.filename in files:
        return Mistake(SourceLine(files[error.filename], error.lineno or 0), f"{type(error).__name__}: {error.msg}")
    place = SourceLine()
    trace = error.__traceback__
    while trace is not None:
        file = files.get(trace.tb_frame.f_code.co_filename)
        if file is not None:
            place = SourceLine(file, trace.tb_lineno)
        trace = trace.tb_next
    return Mistake(place, _sentence(error))
