"""
The names for a master.cfg: ``from buildbot_lite.plugins import steps, schedulers, util, slave, secrets``.

Names and spelling are Buildbot's.  A word is one line below: a class or function that is called by its own name, or
``name=value``.
"""

from typing import Any

from .master import steps as _steps
from .master.config import artifacts as _artifacts
from .master.config import build_factory as _build_factory
from .master.config import buildbot_helpers as _helpers
from .master.config import cancellers as _cancellers
from .master.config import change_schedulers as _change_schedulers
from .master.config import change_sources as _change_sources
from .master.config import clock_schedulers as _clock_schedulers
from .master.config import force_groups as _force_groups
from .master.config import force_parameters as _force
from .master.config import locks as _locks
from .master.config import objects as _objects
from .master.config import renderable_objects as _renderable_objects
from .master.config import renderables as _renderables
from .master.config import schedulers as _schedulers
from .master.config import submit_scheduler as _submit_scheduler
from .master.config.change_filter import NOT_A_BRANCH as _NOT_A_BRANCH
from .master.config.change_filter import ChangeFilter as _ChangeFilter
from .master.config.force_scheduler import ForceScheduler as _ForceScheduler
from .master.config.matrix import Matrix as _Matrix
from .master.config.mistakes import MISSING as _MISSING
from .master.config.placeholders import missing_word as _missing_word
from .master.config.retention import Retention as _Retention
from .master.config.secret_files import SecretInAFile as _SecretInAFile
from .master.config.secret_stores import SecretInEnvironment as _SecretInEnvironment
from .master.config.secret_stores import SecretInPass as _SecretInPass
from .master.scheduling.changes import svn_poller as _svn
from .master.scheduling.changes.git_poller import GitPoller as _GitPoller
from .master.scheduling.changes.hg_poller import HgPoller as _HgPoller
from .master.steps import argument_checks as _checks
from .master.steps import factories as _factories
from .master.steps import mixins as _mixins
from .master.steps import own_logs as _own_logs
from .master.steps.argument import argument as _argument
from .master.steps.sequence import ShellArg as _ShellArg
from .master.steps.source_step import SourceStep as _SourceStep
from .master.steps.step import BuildStepFailed as _BuildStepFailed
from .model import results as _results
from .model.properties import Properties as _Properties
from .model.rendering import renderer as _renderer
from .model.results import Result as _Result
from .status.reporters import commit_status as _commit_status
from .status.reporters import formatting as _formatting
from .status.reporters import generators as _generators
from .status.reporters import http as _http
from .status.reporters import mail as _mail


class Namespace:
    """
    Words as attributes: *classes*, each by its own name, and *words*.

    While a configuration is loaded, an unknown word is noted, and a placeholder stands for it; otherwise it is an
    AttributeError that suggests the nearest one.
    """

    def __init__(self, name: str, *classes: type, **words: Any) -> None:
        self._name = name
        vars(self).update({each.__name__: each for each in classes}, **words)

    def __getattr__(self, word: str) -> Any:
        if word.startswith("__"):
            raise AttributeError(word)
        return _missing_word(self._name, word, self.__dir__())

    def __dir__(self) -> list[str]:
        return [word for word in vars(self) if not word.startswith("_")]


# A path of Buildbot's leads to them as words of changes.
_split_files = {
    each.__name__: each
    for each in (_svn.split_file_alwaystrunk, _svn.split_file_branches, _svn.split_file_projects_branches)
}
changes = Namespace(
    "changes",
    _change_sources.ChangeSource,
    _GitPoller,
    _HgPoller,
    _change_sources.PollingChangeSource,
    _svn.SVNPoller,
    **_split_files,
)
reporters = Namespace(
    "reporters",
    _mail.MailNotifier,
    _http.HttpStatusPush,
    _commit_status.GitHubStatusPush,
    _commit_status.GitLabStatusPush,
    _commit_status.GiteaStatusPush,
    _generators.BuildStatusGenerator,
    _generators.BuildSetStatusGenerator,
    _generators.BuildStartEndStatusGenerator,
    _generators.WorkerMissingGenerator,
    _formatting.MessageFormatter,
    _formatting.MessageFormatterFunction,
    _formatting.MessageFormatterRenderable,
)
schedulers = Namespace(
    "schedulers",
    _change_schedulers.AnyBranchScheduler,
    _change_schedulers.Scheduler,
    _change_schedulers.SingleBranchScheduler,
    _clock_schedulers.Nightly,
    _clock_schedulers.NightlyTriggerable,
    _clock_schedulers.Periodic,
    _ForceScheduler,
    _schedulers.Dependent,
    _submit_scheduler.Submit,
    _schedulers.Triggerable,
)
secrets = Namespace(
    "secrets",
    _SecretInAFile,
    _SecretInEnvironment,
    _SecretInPass,
)
slave = Namespace(
    "slave",
    _objects.BuildSlave,
    Worker=_objects.BuildSlave,
)
buildslave = worker = slave
status = Namespace(
    "status",
    _mail.MailNotifier,
)
_NEW_STYLE = (
    "Compile",
    "Configure",
    "DELETE",
    "GET",
    "HEAD",
    "HTTPStep",
    "OPTIONS",
    "POST",
    "PUT",
    "SetPropertyFromCommand",
    "ShellCommand",
    "Test",
    "WarningCountingShellCommand",
)
steps = Namespace(
    "steps",
    _BuildStepFailed,
    _mixins.CommandMixin,
    _mixins.ShellMixin,
    CompositeStepMixin=_mixins.CommandMixin,
    Source=_SourceStep,
    **{word: getattr(_steps, word) for word in _steps.__all__},
    # Buildbot 2 called its steps so while there were old ones beside them.
    **{f"{word}NewStyle": getattr(_steps, word) for word in _NEW_STYLE},
)
util = Namespace(
    "util",
    _force.AnyPropertyParameter,
    _force.BaseParameter,
    _force.BooleanParameter,
    _force.ChoiceStringParameter,
    _force_groups.CodebaseParameter,
    _force.FileParameter,
    _force.FixedParameter,
    _force.InheritBuildParameter,
    _force.IntParameter,
    _force_groups.NestedParameter,
    _force_groups.PatchParameter,
    _force.StringParameter,
    _force.TextParameter,
    _force.UserNameParameter,
    _force.WorkerChoiceParameter,
    _artifacts.Artifact,
    _ChangeFilter,
    _cancellers.FailingBuildsetCanceller,
    _cancellers.OldBuildCanceller,
    _cancellers.SourceStampFilter,
    _objects.BuilderConfig,
    _build_factory.BuildFactory,
    _renderable_objects.Interpolate,
    _locks.LockAccess,
    _locks.MasterLock,
    _Matrix,
    _renderable_objects.Property,
    _Retention,
    _renderable_objects.Secret,
    _locks.SlaveLock,
    _Properties,
    _renderables.FlattenList,
    _renderables.IProperties,
    _renderables.IRenderable,
    _renderables.Transform,
    _renderables.WithProperties,
    _renderer,
    _ShellArg,
    _own_logs.BufferLogObserver,
    _own_logs.LineConsumerLogObserver,
    _own_logs.LogLineObserver,
    _own_logs.LogObserver,
    _own_logs.OutputProgressObserver,
    _factories.BasicSVN,
    _factories.CPAN,
    _factories.Distutils,
    _factories.GNUAutoconf,
    _helpers.BuildRequest,
    _helpers.ComparableMixin,
    _helpers.IEmailLookup,
    ALL_RESULTS=list(_Result),
    BaseLock=_locks.Lock,
    MISSING=_MISSING,
    bytes2unicode=_helpers.bytes2unicode,
    enforceChosenSlave=_helpers.enforceChosenWorker,
    enforceChosenWorker=_helpers.enforceChosenWorker,
    error=_helpers.error,
    flatten=_helpers.flatten,
    s=_helpers.s,
    unicode2bytes=_helpers.unicode2bytes,
    svn=Namespace("util.svn", **_split_files),
    BuildslaveChoiceParameter=_force.WorkerChoiceParameter,
    NotABranch=_NOT_A_BRANCH,
    Results=[result.name.lower() for result in _Result],
    Trial=_factories.TrialFactory,
    WorkerLock=_locks.SlaveLock,
    argument=_argument,
    checks=Namespace("util.checks", **{word: getattr(_checks, word) for word in _checks.__all__}),
    statusToString=_results.status_to_string,
    worst_status=_results.worst_status,
    **{result.name: result for result in _Result},
)

__all__ = ["buildslave", "changes", "reporters", "schedulers", "secrets", "slave", "status", "steps", "util", "worker"]


def __getattr__(word: str) -> Any:
    if word.startswith("__"):
        raise AttributeError(word)
    return _missing_word("plugins", word, __all__)
