"""
The table of Buildbot's words that buildbot_lite does not implement: `buildbot_words` says what they are.

Each row: the namespace; how the words are treated; why they have no effect, or what to do instead; the words.
"""

from enum import Enum


class Treatment(Enum):
    """
    How a word is treated.
    """

    TAKEN = "taken"
    REFUSED = "refused"
    INNER = "inner"
    LATER = "later"


RIGHTS = (
    "Who may do what is decided by the strings that you grant (docs/security.md), not by users, roles and rights of "
    "web pages: everybody may read the pages unless c['www']['private'] is True, and a change needs a control string."
)
_TAKEN, _REFUSED, _INNER, _LATER = Treatment.TAKEN, Treatment.REFUSED, Treatment.INNER, Treatment.LATER
_PAGES = "the pages of the web process are the same for every farm (c['www'] in docs/configuration.md)."
_OWN_LOG = "requests are not logged; what goes wrong is in twistd.log of the web process's directory."
_HOOKS = "Webhooks are taken by c['www'] = {'change_hook_dialects': …} (docs/changes.md)."
_LATENT = (
    "No slave is started on demand.  Give the image of the machine a slave's string and pin=False, and start it by "
    "other means."
)
_NO_INSIDE = "Leave out the code that needs it, or write it as a step of your own (docs/own-steps.md)."
_SAME_COMMANDS = "Leave it out: all slaves have the same commands, and a slave that is too old says so."
_NO_COMMAND = (
    "Derive from steps.BuildStep, and run commands with self.execute (docs/own-steps.md).  A canStartBuild decides by "
    "properties, and runs nothing on a slave."
)
_CHAT = "Nothing here writes to a chat.  Write reporters.HttpStatusPush(serverUrl=…), with the address of a bridge."
_OTHER_PLACE = "Write reporters.HttpStatusPush(serverUrl=…), with the address of a program that tells it there."
_LEAVE_OUT = "Leave it out for now."

TABLE: tuple[tuple[str, Treatment, str, str], ...] = (
    # Keys of c.
    ("c", _TAKEN, "the title leads to c['buildbotURL'].", "titleURL projectURL"),
    ("c", _TAKEN, "the farm's name is c['title'].", "projectName"),
    ("c", _TAKEN, "what is kept, and how long, is c['retention'] (docs/configuration.md).",
     "buildHorizon logHorizon eventHorizon"),
    ("c", _TAKEN, "the records need no caches of a chosen size.", "caches buildCacheSize changeCacheSize"),
    ("c", _TAKEN, "logs are compressed, and bounded by the space on the disk (c['minspace']).",
     "logCompressionLimit logCompressionMethod logMaxSize logMaxTailSize"),
    ("c", _TAKEN, "logs are kept as the bytes that commands wrote, and shown as UTF-8.", "logEncoding"),
    ("c", _TAKEN, "names and properties are checked where they arrive.", "validation"),
    ("c", _TAKEN, "there is no Python prompt in a running master; a string of `grant admin` has all commands.",
     "manhole debugPassword"),
    ("c", _TAKEN, "nothing is reported to anybody.", "buildbotNetUsageData"),
    ("c", _TAKEN, "a farm has one master at a time, and no message queue to choose.", "multiMaster mq"),
    ("c", _TAKEN, "the web process shows the farm's metrics at /metrics.", "metrics"),
    ("c", _TAKEN, "revisions are shown without links yet.", "revlink"),
    ("c", _TAKEN, "a slave that is not connected is listed as long as master.cfg names it.",
     "ignoreOfflineWorkersTimeout"),
    ("c", _TAKEN, "what is kept, and how long, is c['retention'] (docs/configuration.md).", "configurators"),
    ("c", _TAKEN, RIGHTS, "user_managers"),
    ("c", _TAKEN, "programs ask the JSON API of the web process, at /api/v1/.", "graphql"),
    ("c['www']", _TAKEN, "each webhook proves its own secret.", "change_hook_auth"),
    ("c['www']", _TAKEN, RIGHTS, "auth authz"),
    ("c['www']", _TAKEN, "waterfall, console (as Changes) and badges are among the pages, which take no plugins.",
     "plugins"),
    ("c['www']", _TAKEN, "no pictures of people are fetched from anywhere.", "avatar_methods"),
    ("c['www']", _TAKEN, "a browser's session lasts as long as its string (buildbot-lite grant control --web).",
     "cookie_expiration_time"),
    ("c['www']", _TAKEN, "what a page shows is in its address, which can be a bookmark.",
     "ui_default_config default_page"),
    ("c['www']", _TAKEN, "the pages are dark or light, as the reader's system is.", "theme"),
    ("c['www']", _TAKEN, _PAGES, "custom_templates_dir versions"),
    ("c['www']", _TAKEN, "pages of other sites cannot use the API; let a program of theirs ask it.",
     "allowed_origins jsonp"),
    ("c['www']", _TAKEN, "the API has one version, at /api/v1/.", "rest_minimum_version"),
    ("c['www']", _TAKEN, "an answer of the API has an ETag instead.", "json_cache_seconds"),
    ("c['www']", _TAKEN, _OWN_LOG, "logfileName logRotateLength maxRotatedFiles debug"),
    ("c['www']", _TAKEN, "events come over HTTP, and keep their connection alive by themselves.", "ws_ping_interval"),
    ("c['www']", _TAKEN, "programs ask the JSON API of the web process, at /api/v1/.", "graphql"),
    ("c", _REFUSED, "Change sources are listed in c['change_source'].", "sources changes"),
    ("c", _LATER, _LATENT, "machines"),
    ("c", _TAKEN, "builders are grouped by their tags.", "projects"),
    ("c", _REFUSED, "Give each BuilderConfig a nextSlave, a function of builder, slaves and request.",
     "select_next_worker"),
    ("c", _LATER, "Write the codebases of each scheduler, and a codebaseGenerator (docs/changes.md).", "codebases"),
    # Rights of the web pages, of 0.9 and later.
    ("util", _TAKEN, RIGHTS,
     ("Authz AnyEndpointMatcher AnyControlEndpointMatcher ForceBuildEndpointMatcher StopBuildEndpointMatcher "
     "RebuildBuildEndpointMatcher EnableSchedulerEndpointMatcher BranchEndpointMatcher ViewBuildsEndpointMatcher "
     "EndpointMatcherBase Match AuthRealm Forbidden RolesFromUsername RolesFromGroups RolesFromEmails RolesFromOwner "
     "RolesFromDomain RolesFromBase UserPasswordAuth HTPasswdAuth HTPasswdAprAuth GitHubAuth GoogleAuth GitLabAuth "
     "BitbucketAuth OAuth2Auth RemoteUserAuth CustomAuth BasicAuth NoAuth AuthBase UserInfoProviderBase LdapUserInfo "
     "fnmatchStrMatcher reStrMatcher CommandlineUserManager")),
    ("util", _TAKEN, "no pictures of people are fetched from anywhere.", "AvatarBase AvatarGitHub AvatarGravatar"),
    ("util", _TAKEN, _PAGES, "resource"),
    ("util", _TAKEN, "what is kept, and how long, is c['retention'] (docs/configuration.md).", "JanitorConfigurator"),
    ("util", _TAKEN, "there is no Python prompt in a running master; a string of `grant admin` has all commands.",
     "PasswordManhole AuthorizedKeysManhole ShellManhole TelnetManhole"),
    ("util", _TAKEN, "revisions are shown without links yet.",
     ("RevlinkMatch GithubRevlink GitwebMatch SourceforgeGitRevlink SourceforgeGitRevlink_AlluraPlatform "
     "RevlinkMultiplexer default_revlink_matcher")),
    # Web pages and rights of 0.8.
    ("status", _TAKEN, _PAGES,
     ("WebStatus Waterfall HtmlResource ActionResource ConsoleStatusResource build_get_class map_branches "
     "path_to_build path_to_builder path_to_root")),
    ("status.WebStatus", _REFUSED, _HOOKS, "change_hook_dialects"),
    ("status", _TAKEN, RIGHTS,
     "Authz AuthBase BasicAuth HTPasswdAuth HTPasswdAprAuth IAuth LDAPAuth UsersAuth"),
    ("status", _REFUSED, _HOOKS, "GitHubEventHandler"),
    ("util", _REFUSED, _HOOKS, "GitHubEventHandler BitbucketEventHandler GitLabHandler"),
    ("webhooks", _REFUSED, _HOOKS, "base github gitlab bitbucket gitorious"),
    ("plugins", _REFUSED, _HOOKS, "webhooks"),
    ("plugins", _REFUSED, "Write only what master.cfg needs: steps, schedulers, util, slave, secrets.", "db"),
    ("status", _REFUSED,
     'Write reporters.GitHubStatusPush(token=util.Secret("…")) into c[\'services\'].', "GitHubStatus"),
    ("status", _REFUSED,
     "Write reporters.HttpStatusPush(serverUrl=…) into c['services'].", "HttpStatusPush StatusPush"),
    ("status", _REFUSED, "Write reporters.MailNotifier(fromaddr=…) into c['services'].", "TinderboxMailNotifier"),
    ("status", _REFUSED, _OTHER_PLACE, "GerritStatusPush"),
    ("status", _TAKEN, "people look with `buildbot-lite watch`, and a string of `buildbot-lite grant watch`.",
     "PBListener"),
    ("status", _REFUSED, _CHAT, "IRC IrcStatusBot IrcStatusFactory"),
    ("status", _INNER, _NO_INSIDE, "StatusReceiverMultiService StatusReceiver STDOUT STDERR IStatusReceiver Status"),
    # Slaves.
    ("slave", _REFUSED,
     ('No slave runs inside the master.  Write slave.BuildSlave("local", max_builds=1), and on the master\'s machine '
      "`buildbot-lite furl MASTER local | buildbot-lite create-slave local -` and `buildbot-lite start local`."),
     "LocalSlave LocalWorker"),
    ("slave", _REFUSED, _LATENT,
     ("AbstractLatentWorker AbstractLatentBuildSlave EC2LatentWorker EC2LatentBuildSlave DockerLatentWorker "
     "DockerSwarmLatentWorker KubeLatentWorker LibVirtWorker LibVirtSlave MarathonLatentWorker OpenStackLatentWorker "
     "OpenStackLatentBuildSlave UpcloudLatentWorker")),
    ("util", _REFUSED, _LATENT,
     ("LatentWorkerFailedToSubstantiate LatentBuildSlaveFailedToSubstantiate KubeCtlProxyConfigLoader "
     "KubeHardcodedConfig KubeInClusterConfigLoader WorkerSetupError")),
    ("slave", _INNER, "Derive from slave.BuildSlave.",
     ("AbstractBuildSlave AbstractWorker AbstractWorkerForBuilder defer log putInQuarantine quarantine_timeout "
     "resetQuarantine")),
    # Change sources and schedulers.
    ("changes", _REFUSED,
     ("There is no port that accepts changes with a password: the hook gets a string of its own, from `buildbot-lite "
     "grant change REPOSITORY` (docs/changes.md)."),
     "PBChangeSource"),
    ("changes", _REFUSED, "Poll the repository, or give its hook a string of its own.",
     ("BonsaiPoller BzrLaunchpadEmailMaildirSource CVSMaildirSource SVNCommitEmailMaildirSource "
     "BzrPoller BzrChangeSource P4Source FreshCVSSource")),
    ("schedulers", _REFUSED,
     ('Write schedulers.Submit(name, builderNames=[…], stdin="patch"): whoever has its string sends a patch, with '
      "buildbot-lite try."),
     "Try_Userpass Try_Jobdir Try"),
    ("changes", _LATER, _LEAVE_OUT, "P4Poller"),
    ("changes", _REFUSED,
     "A webhook of the forge reports pull requests: c['www'] = {'change_hook_dialects': …} (docs/changes.md).",
     "BitbucketPullrequestPoller GitHubPullrequestPoller"),
    ("changes", _REFUSED,
     ("Give Gerrit's hooks a string of `buildbot-lite grant change REPOSITORY`, or follow refs/changes/* with a "
     "GitPoller whose branches are a function (docs/changes.md)."),
     "GerritChangeSource GerritEventLogPoller"),
    ("schedulers", _LATER, _LEAVE_OUT,
     "BaseScheduler"),
    # Reporters.
    ("reporters", _REFUSED, _CHAT,
     ("IRC IrcStatusFactory TelegramBot TelegramStatusBot TelegramContact ZulipStatusPush PushoverNotifier "
     "PushjetNotifier")),
    ("reporters", _TAKEN, "the web process shows the farm's metrics at /metrics.", "Prometheus"),
    ("reporters", _LATER, _OTHER_PLACE,
     ("GitHubCommentPush GerritStatusPush GerritVerifyStatusPush BitbucketStatusPush BitbucketServerStatusPush "
     "BitbucketServerCoreAPIStatusPush BitbucketServerPRCommentPush")),
    ("reporters", _LATER, "Write BuildSetStatusGenerator, one message when all builds of a submission have ended.",
     "BuildSetCombinedStatusGenerator"),
    ("reporters", _LATER, "Write BuildStartEndStatusGenerator, which sends a message when a build begins.",
     "BuildRequestGenerator"),
    ("reporters", _REFUSED, 'Write MessageFormatterFunction(function, "json"), or derive no class from it.',
     "MessageFormatterFunctionRaw MessageFormatterBase"),
    ("reporters", _REFUSED, "Leave it out: a WorkerMissingGenerator has a text of its own.",
     "MessageFormatterMissingWorker"),
    ("reporters", _INNER,
     ("Derive from reporters.HttpStatusPush, or give it generators with a MessageFormatterFunction, whose answer is "
      "what it sends (docs/reporters.md)."),
     ("ReporterBase BuildStatusGeneratorMixin getDetailsForBuild getDetailsForBuilds getURLForBuild "
     "getURLForBuildrequest get_details_for_buildrequest merge_reports_prop merge_reports_prop_take_first")),
    # Secrets.
    ("secrets", _LATER, "Use secrets.SecretInAFile, SecretInEnvironment or SecretInPass.",
     ("SecretProviderBase HashiCorpVaultSecretProvider HashiCorpVaultKvSecretProvider VaultAuthenticatorToken "
     "VaultAuthenticatorApprole")),
    # Steps.
    ("steps", _LATER, "A steps.ShellCommand can run the tool.",
     ("Bzr CVS Darcs Monotone P4 Repo "
     "Pylint BuildEPYDoc PerlModuleTest Cppcheck MTR "
     "Robocopy MaxQ DebPbuilder DebCowbuilder UbuPbuilder UbuCowbuilder RpmBuild RpmSpec Mock "
     "MockBuildSRPM MockRebuild VC6 VC7 VC8 VC9 VC10 VC11 VC12 VC14 VC141 VS2003 VS2005 VS2008 VS2010 VS2012 VS2013 "
     "VS2015 VS2017 VS2019 VS2022 VCExpress9 MsBuild MsBuild4 MsBuild12 MsBuild14 MsBuild141 MsBuild15 MsBuild16 "
     "MsBuild17 BSDSysInfo BSDSetMakeVar HLint "
     "Touch")),
    ("steps", _REFUSED,
     ("A secret needs no file of its own that is removed later: give it to a step in env, stdin or command "
      "(docs/configuration.md)."),
     "DownloadSecretsToWorker RemoveWorkerFileSecret"),
    ("steps", _LATER, "",
     "BuildStepCancelled LogLineObserver"),
    ("steps", _INNER, _NO_COMMAND, "RemoteShellCommand RemoteCommand"),
    ("util", _INNER, _NO_COMMAND, "RemoteShellCommand RemoteCommand"),
    ("steps", _INNER, "Derive from steps.BuildStep, and run commands with self.execute (docs/own-steps.md).",
     "LoggingBuildStep"),
    # Methods and attributes of own steps that do not exist, or are never called.
    ("BuildStep", _REFUSED, "Write async def run(self), which answers a result (docs/own-steps.md).",
     ("startStep startCommand startVC run_vc skipWorkdir setupLogfiles buildCommandKwargs setupEnvironment "
     "setDefaultWorkdir computeSourceRevision")),
    ("BuildStep", _REFUSED,
     ("Look at the output and decide the result in async def run(self) (docs/own-steps.md); self.summary is what "
     "people read."),
     ("evaluateCommand createSummary commandComplete getText getText2 describe "
     "logConsumer logProgress")),
    ("BuildStep", _REFUSED,
     ("Compute it in a function under @util.renderer, which each build calls, or in async def run(self) "
      "(docs/own-steps.md)."),
     "setBuild setStepStatus setupProgress acquireLocks releaseLocks"),
    ("BuildStep", _REFUSED,
     "Write getSchedulersAndProperties in a subclass of steps.Trigger (docs/steps.md).",
     "createTriggerProperties getSchedulerByName"),
    ("BuildStep", _REFUSED, "Do it in async def run(self), after await super().run() (docs/own-steps.md).",
     "uploadDone allUploadsDone"),
    ("BuildStep", _REFUSED, "The argument warningExtractor finds warnings, suppressionFile leaves some out.",
     "maybeAddWarning addSuppression"),
    ("BuildStep", _REFUSED, "A command is interrupted by the master when its build is cancelled.", "interrupt"),
    ("BuildStep", _REFUSED,
     "Derive from steps.ShellMixin or steps.CommandMixin, or run commands with await self.execute(command).",
     ("makeRemoteShellCommand runCommand runRemoteCommand runMkdir runRmdir pathExists runGlob "
     "getFileContentFromWorker downloadFileContentToWorker remote_update _dovccmd")),
    ("BuildStep", _REFUSED, "Write with self.addLog(name) or self.addCompleteLog(name, text) (docs/own-steps.md).",
     "addLogWithFailure addLogWithException addStdout addStderr addHeader"),
    ("BuildStep", _REFUSED, "Say it in self.summary, or as a remark: self.bench.remark(text).",
     "setStateStrings step_status"),
    ("BuildStep", _REFUSED, "Properties are read and set on the step itself: self.getProperty(name).",
     "buildslave worker remote"),
    ("BuildStep", _REFUSED, _SAME_COMMANDS,
     ("workerVersion workerVersionIsOlderThan slaveVersion slaveVersionIsOlderThan checkWorkerHasCommand "
      "checkSlaveHasCommand")),
    ("util", _REFUSED, _SAME_COMMANDS, "WorkerTooOldError BuildSlaveTooOldError"),
    ("util", _REFUSED,
     "Read log.getText(), which has the output; with separateStderr=True, standard error is another log.",
     "LOG_CHANNEL_STDOUT LOG_CHANNEL_STDERR LOG_CHANNEL_HEADER"),
    # Methods of other classes that are never called.
    ("SourceStep", _REFUSED,
     "Write a step of your own, which runs before or after this one (docs/own-steps.md).",
     ("patch applyPatch sourcedirIsUpdatable sourcedirIsPatched "
     "parseGotRevision mode_full mode_incremental clobber fresh copy full incremental")),
    ("Reporter", _REFUSED, "Give generators, whose message_formatter makes the message (docs/reporters.md).",
     ("send sendMessage createEmail isMessageNeeded getRecipients isStatus2XX createStatus createReport "
     "buildMessage buildStarted buildFinished buildsetComplete sendNotifications useLookup "
     "findInterrestedUsersEmails processRecipients shouldAttachLog")),
    ("Generator", _REFUSED,
     "Choose builds with mode, builders, tags, branches and schedulers; give a message_formatter (docs/reporters.md).",
     "generate build_message buildset_message is_message_needed_by_props is_message_needed_by_results"),
    ("MessageFormatter", _REFUSED, "Give template, subject and ctx, or write MessageFormatterFunction(function, type).",
     ("format_message_for_build formatMessageForBuildResults buildAdditionalContext buildBuildStatusContext "
     "render_message_body render_message_subject render_message_dict")),
    ("BaseParameter", _REFUSED, "Say what is allowed with regex, maxsize, required or choices (docs/schedulers.md).",
     "parse_from_arg parse_from_args getFromKwargs updateFromKwargs setParent getSpec"),
    ("BaseScheduler", _REFUSED, "Choose changes with change_filter and fileIsImportant, and sources with codebases.",
     ("gotChange addBuildsetForChanges addBuildsetForSourceStamps addBuildsetForSourceStampsWithDefaults "
     "getTimerForChange stableTimerFired startConsumingChanges getCodebaseDict createAbsoluteSourceStamps "
     "getPendingBuildTimes")),
    ("BaseScheduler", _REFUSED, "Give the scheduler properties, each of which may be renderable.",
     "trigger force gatherPropertiesAndChanges getNextBuildTime startBuild scheduleNextBuild"),
    ("BaseScheduler", _REFUSED, "Write it in the constructor, __init__.",
     "startService stopService activate deactivate checkConfig reconfigService"),
    ("Service", _REFUSED, "Write it in the constructor, __init__.",
     "startService stopService setServiceParent checkConfig reconfigService reconfigServiceWithSibling"),
    ("ChangeSource", _REFUSED, "Write it as activate.", "startService"),
    ("ChangeSource", _REFUSED, "Write it as deactivate.", "stopService"),
    ("ChangeSource", _REFUSED, "Write it in the constructor, __init__.",
     "checkConfig reconfigService reconfigServiceWithSibling"),
    ("PollingChangeSource", _REFUSED, "Derive from changes.PollingChangeSource, and write poll (docs/changes.md).",
     ("doPoll _process_changes get_logs parse_logs get_prefix determine_prefix get_new_logentries "
     "create_changes submit_changes")),
    ("SecretStore", _REFUSED, "Write a provider of your own with value(basedir, name) and names(basedir).",
     "get loadSecrets checkConfig reconfigService checkFileIsReadable checkSecretDirectoryIsAvailableAndReadable"),
    ("BuildSlave", _REFUSED, "Decide in a function that is the argument canStartBuild of the BuilderConfig.",
     "canStartBuild"),
    ("BuildSlave", _REFUSED, _LATENT, "start_instance stop_instance substantiate insubstantiate"),
    ("BuildSlave", _REFUSED, "Write a step of your own that does it in each build (docs/own-steps.md).",
     "attached detached buildStarted buildFinished sendBuilderList checkConfig reconfigService"),
    ("BuilderConfig", _REFUSED, "Give the constructor the arguments.", "getConfigDict"),
    ("BuildFactory", _REFUSED,
     "Add the steps in the constructor, or in a build with self.build.addStepsAfterCurrentStep (docs/own-steps.md).",
     "newBuild"),
    ("LogObserver", _REFUSED, "Write outReceived or errReceived, or derive from LogLineObserver (docs/own-steps.md).",
     "logChunk headerReceived"),
    # Arguments of classes that are here.
    ("util.BuilderConfig", _TAKEN, "builders are grouped by their tags.", "project"),
    ("util.BuilderConfig", _TAKEN, "a description is shown as it is.", "description_format"),
    ("util.BuilderConfig", _REFUSED,
     "Write schedulers.Periodic(name, builderNames=[…], periodicBuildTimer=…) into c['schedulers'].",
     "periodicBuildTime"),
    ("util.BuilderConfig", _REFUSED,
     ("Decide in the scheduler (change_filter, or a renderer as builderNames), or with doStepIf of the steps."),
     "do_build_if"),
    ("slave.BuildSlave", _REFUSED, "Write it as defaultProperties of the builders, or as properties of the slave.",
     "defaultProperties"),
    ("slave.BuildSlave", _REFUSED, _LATENT, "machine_name"),
    *((each, _REFUSED, 'Write auth_credentials=("user", util.Secret("…")).', "git_credentials")
      for each in ("steps.Git", "steps.GitPush", "changes.GitPoller")),
    ("steps.Git", _TAKEN, "the step keeps the objects of earlier builds.", "reference"),
    ("steps.Git", _TAKEN, "only the wanted revision is fetched.", "filters"),
    ("steps.Git", _REFUSED, "No branches of a remote are kept in the checkout; a later command fetches what it needs.",
     "origin"),
    ("steps.Git", _REFUSED,
     "A submodule has the commit that the revision names.  Run git submodule update --remote in a step of its own.",
     "remoteSubmodules"),
    ("steps.Git", _REFUSED, 'Write repourl, branch, and mode="full" with method="fresh" or "clean".',
     "repository defaultBranch ignore_ignores"),
    ("steps.SVN", _REFUSED, 'Write workdir, and mode="full" with method="fresh" or "clean".',
     "directory always_purge ignore_ignores"),
    ("steps.Mercurial", _REFUSED, 'Write repourl with branchType="dirname".', "baseURL"),
    ("steps.GitCommit", _TAKEN, "no hook runs in a checkout.", "no_verify"),
    ("steps.ShellMixin", _REFUSED, "Limit the bytes of the output with logMaxSize.", "max_lines"),
    ("steps.Trial", _REFUSED, "Compute tests in a function under @util.renderer, from props.getBuild().allFiles().",
     "testChanges"),
    ("steps.PyLint", _TAKEN, "results of single tests are not stored.", "store_results"),
    ("steps.HTTPStep", _TAKEN, "an answer is read as it comes, up to a bound.", "stream"),
    ("steps.HTTPStep", _REFUSED, "Run curl in a MasterShellCommand.", "proxies cert files"),
    ("reporters.MailNotifier", _REFUSED,
     "Give generators, among them reporters.WorkerMissingGenerator(workers=[…]) (docs/reporters.md).",
     "watchedWorkers watchedSlaves messageFormatterMissingWorker"),
    ("reporters.MailNotifier", _REFUSED, "Write messageFormatter=reporters.MessageFormatter(template=…).",
     "customMesg"),
    ("reporters.HttpStatusPush", _REFUSED, 'Write auth=("user", util.Secret("…")).', "user password"),
    ("reporters.HttpStatusPush", _TAKEN, "JSON is sent as bytes.", "skipEncoding"),
    ("reporters.HttpStatusPush", _REFUSED, "Send it to a proxy on this machine, which has the certificate.", "cert"),
    ("reporters.GiteaStatusPush", _REFUSED, "Give context a renderer, which decides by properties.", "context_pr"),
    ("reporters.MessageFormatter", _TAKEN, "a template can always use properties, steps and the tail of a log.",
     "wantProperties wantSteps wantLogs"),
    ("reporters.MessageFormatterFunction", _TAKEN,
     "the function always gets properties, steps and the tail of a log.", "wantProperties wantSteps wantLogs"),
    ("reporters.MessageFormatter", _REFUSED, "Write template=open(path).read(), and subject=….",
     "template_dir template_filename template_name subject_filename subject_template"),
    ("reporters.MessageFormatter", _REFUSED, "Give ctx, or write MessageFormatterFunction(function, type).",
     "extra_info_cb"),
    # Attributes of the arguments of nextBuild, nextWorker, canStartBuild, collapseRequests and prioritizeBuilders.
    ("Function", _REFUSED,
     "Return False: no build starts there now, and canStartBuild is asked again within a minute.",
     "putInQuarantine resetQuarantine quarantine_timeout"),
    ("Function", _REFUSED,
     "Order by building (whether it builds now), getOldestRequestTime() and getHighestPriority().",
     "getNewestCompleteTime getLastFinishedBuild builder_status botmaster"),
    # What else is in util.
    ("util", _REFUSED,
     ('Write util.ChangeFilter(branch=…, property_eq={"event.type": "patchset-created"}), if the hook of Gerrit '
      "reports that property."),
     "GerritChangeFilter"),
    ("util", _TAKEN, "builders are grouped by their tags.", "Project"),
    ("util", _REFUSED, r'Write util.StringParameter(name, regex=r"\d{4}-\d\d-\d\d$").', "DateParameter"),
    ("util", _REFUSED, "Say what is allowed with regex, maxsize, required or choices (docs/schedulers.md).",
     "ValidationError"),
    ("util", _REFUSED, "Write steps.ShellSequence.", "ShellSequence"),
    ("util", _REFUSED,
     ('Give util.Interpolate("https://ADDRESS/builders/%(prop:buildername)s/%(prop:buildnumber)s"), with the address '
      "of the pages."),
     "URLForBuild"),
    ("util", _REFUSED, _HOOKS, "JenkinsEventHandler"),
    ("util", _REFUSED,
     "Functions get what they may decide by in their arguments; programs ask `buildbot-lite builds --json`.", "Filter"),
    ("util", _LATER, _LEAVE_OUT, "CommandlineUserManager computeResultAndTermination"),
    ("util", _INNER,
     ("Add steps in a build with self.build.addStepsAfterCurrentStep (docs/own-steps.md), and leave some out with "
      "doStepIf."),
     "Build"),
    ("util", _REFUSED, "There is no step for CVS.  Write util.GNUAutoconf(source=steps.Git(repourl=…)).",
     "BasicBuildFactory QuickBuildFactory"),
    ("util", _INNER, _NO_INSIDE,
     ("AbstractWorkerForBuilder AsyncMultiService BuildbotService BuildMaster Builder BuildModel "
     "BuildRequestModel BuildslaveForBuilder ConfigErrors ConfigWarning ConfiguratorBase Connection "
     "DBConnector EqConnectionPool FullTwistedBuildFactory HTTPClientService HTTPSession IConfigLoader IControl "
     "IReportGenerator IStatusReceiver LocalWorkerForBuilder MasterConfig QuickTwistedBuildFactory "
     "ReconfigurableServiceMixin STDERR STDOUT SourceStamp StateMixin StreamLog "
     "TestResult TwistedReactorsBuildFactory async_to_deferred asyncSleep datetime2epoch "
     "deferredLocked formatInterval human_readable_delta "
     "isBuildmasterDir loadConfigDict safeTranslate stripUrlPassword "
     "version warn_deprecated")),
)  # fmt: skip
