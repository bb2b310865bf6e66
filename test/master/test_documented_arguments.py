"""
Each argument that Buildbot documents: it is taken, or ``checkconfig`` says what to do instead.
"""

from collections.abc import Mapping
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.buildbot_table import Treatment
from buildbot_lite.master.config.buildbot_words import WORDS, argument_of
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.mistakes import MistakesError

STEP = (
    "name haltOnFailure flunkOnWarnings flunkOnFailure warnOnWarnings warnOnFailure alwaysRun description "
    "descriptionDone descriptionSuffix doStepIf hideStepIf locks logEncoding updateBuildSummaryPolicy "
    "useProgress progressMetrics"
)
SHELL = (
    "workdir env want_stdout want_stderr usePTY logfiles lazylogfiles timeout maxTime max_lines logEnviron "
    "interruptSignal sigtermTime initialStdin decodeRC"
)
SOURCE = "workdir mode method codebase timeout retry env logEnviron alwaysUseLatest haltOnFailure"
PARAMETER = "name label tablabel default required maxsize autopopulate regex multiple hide debug"
GROUPS: Mapping[str, str] = {"{step}": STEP, "{shell}": SHELL, "{source}": SOURCE, "{parameter}": PARAMETER}
"""The arguments that several classes have."""


def notes_on(text: str) -> tuple[list[str], list[str]]:
    """
    The mistakes and the remarks of a master.cfg with this *text*.
    """
    try:
        generation = load("/nowhere", f"from buildbot.plugins import *\nc = {{}}\n{text}\n")
    except MistakesError as error:
        return [each.sentence for each in error.mistakes], []
    return [], [each.sentence for each in generation.remarks]


class DocumentedArgumentTests(SynchronousTestCase):
    """
    A row for each class: its documented arguments.
    """

    TABLE: ClassVar[Mapping[str, str]] = {
        "schedulers.SingleBranchScheduler": (
            "name builderNames properties codebases fileIsImportant change_filter onlyImportant reason "
            "treeStableTimer categories branch createAbsoluteSourceStamps priority"
        ),
        "schedulers.AnyBranchScheduler": (
            "name builderNames properties codebases fileIsImportant change_filter onlyImportant reason "
            "treeStableTimer branches categories createAbsoluteSourceStamps priority"
        ),
        "schedulers.Scheduler": (
            "name builderNames branch treeStableTimer fileIsImportant properties categories change_filter "
            "onlyImportant reason"
        ),
        "schedulers.Dependent": "name builderNames properties codebases upstream reason priority",
        "schedulers.Periodic": (
            "name builderNames properties codebases fileIsImportant change_filter onlyImportant reason "
            "createAbsoluteSourceStamps onlyIfChanged periodicBuildTimer branch priority"
        ),
        "schedulers.Nightly": (
            "name builderNames properties codebases fileIsImportant change_filter onlyImportant reason "
            "createAbsoluteSourceStamps onlyIfChanged branch minute hour dayOfMonth month dayOfWeek "
            "force_at_minute force_at_hour force_at_day_of_month force_at_month force_at_day_of_week priority"
        ),
        "schedulers.Triggerable": "name builderNames properties codebases reason priority",
        "schedulers.NightlyTriggerable": (
            "name builderNames properties codebases reason minute hour dayOfMonth month dayOfWeek priority"
        ),
        "schedulers.ForceScheduler": (
            "name builderNames reason reasonString username codebases properties buttonName label branch "
            "revision repository project priority"
        ),
        "util.ChangeFilter": (
            "project project_not_eq project_re project_not_re project_fn repository repository_not_eq "
            "repository_re repository_not_re repository_fn branch branch_not_eq branch_re branch_not_re "
            "branch_fn category category_not_eq category_re category_not_re category_fn codebase "
            "codebase_not_eq codebase_re codebase_not_re codebase_fn property_eq property_not_eq property_re "
            "property_not_re filter_fn files_fn"
        ),
        "util.BuilderConfig": (
            "name workername workernames slavename slavenames factory builddir workerbuilddir slavebuilddir "
            "tags category nextWorker nextSlave nextBuild canStartBuild locks env collapseRequests "
            "mergeRequests properties defaultProperties description description_format project do_build_if"
        ),
        "util.BuildFactory": "steps",
        "slave.BuildSlave": (
            "name password max_builds properties defaultProperties notify_on_missing missing_timeout "
            "keepalive_interval locks machine_name"
        ),
        "util.MasterLock": "name maxCount",
        "util.WorkerLock": "name maxCount maxCountForWorker maxCountForSlave",
        "changes.GitPoller": (
            "repourl branches branch pollInterval pollinterval pollRandomDelayMin pollRandomDelayMax "
            "pollAtLaunch buildPushesWithNoCommits gitbin category project usetimestamps encoding workdir "
            "only_tags sshPrivateKey sshHostKey sshKnownHosts auth_credentials git_credentials name codebase"
        ),
        "changes.HgPoller": (
            "repourl name bookmarks branches branch workdir pollInterval pollinterval pollRandomDelayMin "
            "pollRandomDelayMax pollAtLaunch hgbin category project usetimestamps encoding revlink"
        ),
        "changes.SVNPoller": (
            "repourl svnurl split_file project svnuser svnpasswd pollInterval pollinterval pollRandomDelayMin "
            "pollRandomDelayMax pollAtLaunch histmax svnbin revlinktmpl cachepath extra_args category name"
        ),
        "changes.PollingChangeSource": "name pollInterval pollAtLaunch pollRandomDelayMin pollRandomDelayMax",
        "reporters.MailNotifier": (
            "fromaddr sendToInterestedUsers extraRecipients generators relayhost smtpPort useTls useSmtps "
            "smtpUser smtpPassword lookup extraHeaders watchedWorkers dumpMailsToLog mode builders tags "
            "categories schedulers branches subject addLogs addPatch buildSetSummary messageFormatter "
            "messageFormatterMissingWorker name customMesg"
        ),
        "reporters.HttpStatusPush": (
            "serverUrl user password auth format_fn builders generators wantProperties wantSteps "
            "wantPreviousBuild wantLogs debug verify skipEncoding headers name cert"
        ),
        "reporters.GitHubStatusPush": (
            "token context startDescription endDescription generators baseURL verbose builders name verify debug"
        ),
        "reporters.GitLabStatusPush": (
            "token context startDescription endDescription baseURL generators verbose verify debug builders name"
        ),
        "reporters.GiteaStatusPush": (
            "baseURL token context context_pr startDescription endDescription generators verbose verify debug "
            "builders name"
        ),
        "reporters.BuildStatusGenerator": (
            "subject mode builders tags schedulers branches add_logs add_patch report_new message_formatter"
        ),
        "reporters.BuildSetStatusGenerator": (
            "subject mode builders tags schedulers branches add_logs add_patch message_formatter"
        ),
        "reporters.BuildStartEndStatusGenerator": (
            "builders tags schedulers branches add_logs add_patch start_formatter end_formatter"
        ),
        "reporters.WorkerMissingGenerator": "workers message_formatter",
        "reporters.MessageFormatter": (
            "template template_type template_dir template_filename subject subject_template subject_filename "
            "ctx want_properties wantProperties want_steps wantSteps wantLogs want_logs want_logs_content "
            "extra_info_cb template_name"
        ),
        "reporters.MessageFormatterFunction": (
            "function template_type want_properties wantProperties want_steps wantSteps wantLogs want_logs "
            "want_logs_content"
        ),
        "reporters.MessageFormatterRenderable": "template subject",
        "secrets.SecretInAFile": "dirname suffixes strip",
        "secrets.SecretInPass": "gpgPassphrase dirname",
        "util.OldBuildCanceller": "name filters branch_key",
        "util.FailingBuildsetCanceller": "name filters",
        "util.SourceStampFilter": (
            "project_eq project_not_eq project_re project_not_re repository_eq repository_not_eq "
            "repository_re repository_not_re branch_eq branch_not_eq branch_re branch_not_re codebase_eq "
            "codebase_not_eq codebase_re codebase_not_re filter_fn"
        ),
        "util.Property": "key default defaultWhenFalse",
        "util.Interpolate": "fmtstring",
        "util.Transform": "function",
        "util.FlattenList": "nestedlist types",
        "util.ShellArg": (
            "command logname logfile haltOnFailure flunkOnWarnings flunkOnFailure warnOnWarnings warnOnFailure"
        ),
        "util.GNUAutoconf": "source configure configureEnv configureFlags reconf compile test distcheck",
        "util.CPAN": "source perl",
        "util.Distutils": "source python test",
        "util.Trial": (
            "source buildpython trialpython trial trialMode trialArgs testpath reactor randomly recurse tests "
            "useTestCaseNames"
        ),
        "util.BasicSVN": "svnurl configure configureEnv compile test",
        "steps.ShellCommand": "{step} {shell} command",
        "steps.Configure": "{step} {shell} command",
        "steps.Compile": (
            "{step} {shell} command suppressionFile suppressionList maxWarnCount warningPattern "
            "warningExtractor directoryEnterPattern directoryLeavePattern"
        ),
        "steps.Test": (
            "{step} {shell} command suppressionFile suppressionList maxWarnCount warningPattern "
            "warningExtractor directoryEnterPattern directoryLeavePattern"
        ),
        "steps.WarningCountingShellCommand": (
            "{step} {shell} command suppressionFile suppressionList maxWarnCount warningPattern "
            "warningExtractor directoryEnterPattern directoryLeavePattern"
        ),
        "steps.ShellSequence": "{step} {shell} commands",
        "steps.SetPropertyFromCommand": (
            "{step} {shell} command property extract_fn strip includeStdout includeStderr"
        ),
        "steps.SetProperty": "{step} property value",
        "steps.SetProperties": "{step} properties",
        "steps.SetPropertiesFromEnv": "{step} variables source",
        "steps.MasterShellCommand": "{step} command workdir env usePTY interruptSignal logEnviron decodeRC",
        "steps.Git": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl branch "
            "submodules remoteSubmodules shallow reference origin filters progress retryFetch "
            "clobberOnFailure getDescription config sshPrivateKey sshHostKey sshKnownHosts tags "
            "auth_credentials git_credentials repository defaultBranch ignore_ignores"
        ),
        "steps.GitHub": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl branch"
        ),
        "steps.GitLab": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl branch"
        ),
        "steps.Gerrit": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl branch"
        ),
        "steps.GitPush": (
            "{step} workdir sshPrivateKey sshHostKey sshKnownHosts config auth_credentials git_credentials "
            "env timeout logEnviron repourl branch force"
        ),
        "steps.GitTag": "{step} workdir config env timeout logEnviron tagName annotated messages force",
        "steps.GitCommit": "{step} workdir config env timeout logEnviron paths messages emptyCommits no_verify",
        "steps.GitDiffInfo": "{step} {shell} compareToRef dataName",
        "steps.SVN": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl svnurl "
            "baseURL defaultBranch username password extra_args keep_on_purge depth preferLastChangedRev "
            "directory always_purge ignore_ignores"
        ),
        "steps.Mercurial": (
            "{step} workdir mode method codebase timeout retry env logEnviron alwaysUseLatest repourl baseURL "
            "defaultBranch branchType clobberOnBranchChange"
        ),
        "steps.FileUpload": (
            "{step} workersrc slavesrc masterdest url urlText mode maxsize blocksize keepstamp workdir"
        ),
        "steps.DirectoryUpload": (
            "{step} workersrc slavesrc masterdest url urlText maxsize blocksize compress workdir"
        ),
        "steps.MultipleFileUpload": (
            "{step} workersrcs slavesrcs masterdest url urlText mode maxsize blocksize keepstamp glob compress workdir"
        ),
        "steps.FileDownload": "{step} mastersrc workerdest slavedest mode maxsize blocksize workdir",
        "steps.StringDownload": "{step} s workerdest slavedest mode maxsize blocksize workdir",
        "steps.JSONStringDownload": "{step} o workerdest slavedest mode maxsize blocksize workdir",
        "steps.JSONPropertiesDownload": "{step} workerdest slavedest mode maxsize blocksize workdir",
        "steps.MakeDirectory": "{step} dir",
        "steps.RemoveDirectory": "{step} dir timeout",
        "steps.CopyDirectory": "{step} src dest timeout maxTime",
        "steps.FileExists": "{step} file",
        "steps.Trigger": (
            "{step} schedulerNames unimportantSchedulerNames waitForFinish updateSourceStamp alwaysUseLatest "
            "sourceStamps sourceStamp set_properties copy_properties priority"
        ),
        "steps.HTTPStep": (
            "{step} url method params headers data json timeout auth cookies proxies allow_redirects verify "
            "cert hide_request_headers hide_response_headers files stream"
        ),
        "steps.POST": "{step} url headers data json auth",
        "steps.GET": "{step} url params",
        "steps.Assert": "{step} check",
        "steps.LogRenderable": "{step} content",
        "steps.CMake": "{step} path generator definitions options cmake workdir env timeout",
        "steps.Trial": (
            "{step} {shell} command python trial trialMode trialArgs jobs tests testpath reactor randomly "
            "recurse testChanges"
        ),
        "steps.RemovePYCs": "{step} workdir",
        "steps.PyFlakes": "{step} {shell} command",
        "steps.PyLint": "{step} {shell} command store_results",
        "steps.Sphinx": (
            "{step} sphinx_builddir sphinx_sourcedir sphinx_builder sphinx mode defines tags strict_warnings"
        ),
        "steps.TreeSize": "{step} {shell} command",
        "steps.SubunitShellCommand": "{step} {shell} command failureOnNoTests",
        "steps.DebLintian": "{step} fileloc suppressTags",
        "steps.RpmLint": "{step} fileloc config",
        "util.StringParameter": "{parameter} size",
        "util.TextParameter": "{parameter} cols rows size",
        "util.IntParameter": "{parameter} size",
        "util.BooleanParameter": "{parameter}",
        "util.FixedParameter": "{parameter}",
        "util.UserNameParameter": "{parameter} size need_email",
        "util.ChoiceStringParameter": "{parameter} choices strict size sort",
        "util.CodebaseParameter": "{parameter} codebase branch revision repository project patch",
        "util.NestedParameter": "{parameter} fields layout columns",
        "util.FileParameter": "{parameter} cols rows",
        "util.PatchParameter": "{parameter} body level author comment subdir",
        "util.InheritBuildParameter": "{parameter} compatible_builds",
        "util.WorkerChoiceParameter": "{parameter}",
        "util.AnyPropertyParameter": "{parameter}",
        "util.BaseParameter": "{parameter}",
    }

    def test_taken_or_answered(self) -> None:
        """
        Promise 8.14: no documented argument is unknown: it is taken, or the table of Buildbot's words has its remedy.
        """
        for cls, listed in self.TABLE.items():
            names = listed
            for group, members in GROUPS.items():
                names = names.replace(group, members)
            for name in dict.fromkeys(names.split()):
                word = argument_of([cls.partition(".")[2]], name)
                mistakes, _ = notes_on(f"{cls}({name}=None)")
                with self.subTest(f"{cls}({name}=)"):
                    self.assertFalse([each for each in mistakes if f"has no argument {name!r}" in each], mistakes)
                    self.assertFalse([each for each in mistakes if "Did you mean" in each], mistakes)
                    if word is not None and word.treatment is Treatment.REFUSED:
                        self.assertIn(word.sentence, mistakes)

    def test_formatter_function(self) -> None:
        """
        A MessageFormatterFunction takes any argument, with a remark.
        """
        mistakes, remarks = notes_on("reporters.MessageFormatterFunction(len, 'json', wantSteps=True, anything=1)")
        self.assertEqual(mistakes, [])
        self.assertTrue(any("wantSteps" in each for each in remarks), remarks)
        self.assertIn("MessageFormatterFunction has no argument 'anything'; it has no effect.", remarks)

    def test_in_subclasses(self) -> None:
        """
        An argument has the same answer in a class that a configuration derives.
        """
        text = (
            "class Own(steps.Git):\n    def __init__(self, **kwargs):\n        super().__init__(**kwargs)\n"
            "Own(repourl='r', origin='x', reference='/y')\n"
        )
        mistakes, _ = notes_on(text)
        self.assertEqual(len(mistakes), 1)
        self.assertTrue(mistakes[0].startswith("steps.Git(origin=) is not here.  "), mistakes)
        for called in ("steps.ShellCommand", "Shell"):
            text_of_base = f"class Shell(steps.ShellCommand):\n    pass\n{called}(command=['make'], max_lines=3)\n"
            mistakes, _ = notes_on(text_of_base)
            self.assertEqual(
                mistakes,
                ["steps.ShellCommand(max_lines=) is not here.  Limit the bytes of the output with logMaxSize."],
            )
        _, remarks = notes_on(text.replace("origin='x', ", ""))
        self.assertTrue(any(each.startswith("steps.Git(reference=) has no effect here: ") for each in remarks), remarks)

    def test_sentences(self) -> None:
        """
        Each sentence about an argument ends as one.
        """
        for word in WORDS.values():
            if "." in word.where:
                self.assertRegex(word.sentence, r"[^.][.]$")
