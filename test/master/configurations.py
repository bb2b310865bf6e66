"""
Texts of master.cfg, and configurations in temporary directories.
"""

import os
import textwrap
from collections.abc import Mapping, Sequence

from buildbot_lite.master.config.loading import Generation, load
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.config.mistakes import Mistake, MistakesError

FORCE = 'schedulers.ForceScheduler("force", builderNames=["b"])'
GO = 'schedulers.Submit("go", ["b"])'
HEAD = (
    "from buildbot_lite.plugins import changes, schedulers, secrets, slave, steps, util\nc = BuildmasterConfig = {}\n"
)


def run_step(name: str, arguments: str = "") -> str:
    """
    The source of a step that runs ``run NAME``, with more *arguments* in source form.
    """
    return f'steps.ShellCommand(name="{name}", command=["run", "{name}"], {arguments})'


def four_steps(**arguments: str) -> tuple[str, ...]:
    """
    The steps one, two, three and last, with more arguments by name.
    """
    own = {
        "one": "haltOnFailure=True, ",
        "two": "flunkOnFailure=False, warnOnFailure=True, ",
        "three": "",
        "last": "alwaysRun=True, ",
    }
    return tuple(run_step(name, own[name] + arguments.get(name, "")) for name in own)


def builder_config(name: str = "b", *, slaves: Sequence[str], steps: Sequence[str], arguments: str = "") -> str:
    """
    The source of a builder, with more *arguments* in source form.
    """
    return f'util.BuilderConfig("{name}", {list(slaves)}, factory=util.BuildFactory([{", ".join(steps)}]), {arguments})'


def master_cfg(
    *,
    slaves: Mapping[str, str] | None = None,
    steps: Sequence[str] = four_steps(),
    arguments: str = "",
    builders: Sequence[str] | None = None,
    schedulers: Sequence[str] = (GO,),
) -> str:
    """
    The text of a master.cfg after its head.

    *slaves*: name → more arguments of the slave; by default, one slave "bot1".  *steps* and *arguments*: those of the
    one builder "b", which builds on all slaves.  *builders*: instead of that builder.
    """
    known = slaves or {"bot1": ""}
    defined = builders or [builder_config(slaves=list(known), steps=steps, arguments=arguments)]
    slaves_ = ", ".join(f'slave.BuildSlave("{name}", {more})' for name, more in known.items())
    return (
        f'c["slaves"] = [{slaves_}]\n'
        f'c["builders"] = [{", ".join(defined)}]\n'
        f'c["schedulers"] = [{", ".join(schedulers)}]\n'
    )


ONE = master_cfg()
TWO_SLAVES = master_cfg(slaves={"bot1": "", "bot2": ""})


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
    The configuration in *text*, which follows the usual imports and ``c = {}``.
    """
    return load(basedir, HEAD + textwrap.dedent(text)).config


def mistakes_in(text: str, basedir: str = "/nowhere") -> list[Mistake]:
    """
    The mistakes in *text*, which follows the same head.
    """
    try:
        configured(text, basedir)
    except MistakesError as error:
        return list(error.mistakes)
    return []


def sentences_in(text: str, basedir: str = "/nowhere") -> list[str]:
    """
    The sentences of the mistakes in *text*.
    """
    return [mistake.sentence for mistake in mistakes_in(text, basedir)]


def loaded(directory: str, files: Mapping[str, str]) -> Generation:
    """
    The generation made of *files*, which are written into *directory*.
    """
    write(directory, files)
    return load(directory)


def remarks_in(text: str) -> list[str]:
    """
    The remarks about *text*, after the usual imports, with their lines.
    """
    return [str(remark) for remark in load("/nowhere", HEAD + textwrap.dedent(text)).remarks]
