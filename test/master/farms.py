"""
Farms in temporary directories, for tests of configurations.
"""

import os
import textwrap
from collections.abc import Mapping

from buildbot_lite.master.config.loading import Generation, load
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.config.mistakes import Mistake, MistakesError

WORDS = (
    "from buildbot_lite.plugins import changes, schedulers, secrets, slave, steps, util\nc = BuildmasterConfig = {}\n"
)


def write(directory: str, files: Mapping[str, str]) -> None:
    """
    Write *files*, name → text, into *directory*.
    """
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))


def configured(text: str, basedir: str = "/nowhere") -> MasterConfig:
    """
    The configuration that *text* makes, after the usual imports and ``c = {}``.
    """
    return load(basedir, WORDS + textwrap.dedent(text)).config


def mistakes_in(text: str, basedir: str = "/nowhere") -> list[Mistake]:
    """
    What is wrong with *text*, after the same.
    """
    try:
        configured(text, basedir)
    except MistakesError as error:
        return list(error.mistakes)
    return []


def sentences_in(text: str, basedir: str = "/nowhere") -> list[str]:
    """
    The same without places.
    """
    return [mistake.sentence for mistake in mistakes_in(text, basedir)]


def loaded(directory: str, files: Mapping[str, str]) -> Generation:
    """
    The generation made of *files*, written into *directory*.
    """
    write(directory, files)
    return load(directory)
