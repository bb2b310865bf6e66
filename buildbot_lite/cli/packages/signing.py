"""
Sign packages on the signer's machine, and publish what is signed.
"""

from collections.abc import Callable, Sequence

import click
from attrs import evolve, frozen

from ...errors import (
    BuildbotLiteError,
    FurlError,
    InputError,
    LinkLostError,
    NoAnswerError,
    RefusedError,
    RevokedError,
    UnknownStringError,
    WrongVerbError,
)
from ...packages.keys.openpgp import Signature
from ...packages.keys.wanted_file import WantedFile
from ...packages.signer.gnupg import Gnupg
from ...packages.signer.offered import OfferedFile, OfferedJob, Offers
from ...packages.signer.signer import Signer, SigningSummary
from ..asking.connection import MasterLink, interruptible
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.next_commands import said_here
from ..output.printing import Document, note, show, tell
from .words import JobNumber

LOOK_AGAIN = 10.0
"""Seconds between two looks of ``--watch``."""

_jobs = click.argument("jobs", metavar="JOB...", nargs=-1, type=JobNumber(1, 1 << 53))
_target = click.option("--target", default="", help="The target; needed with DIR unless jobs are named.")
_all = click.option("--all", "everything", is_flag=True, help="All jobs of the target that wait.")
_FINAL = (FurlError, RevokedError, UnknownStringError, WrongVerbError)
"""Errors after which ``--watch`` ends: its string will not become right."""


@frozen
class Rule:
    """
    Jobs of one *submitter*, and for no other than these *arches*; None: any.
    """

    submitter: str | None = None
    arches: frozenset[str] | None = None

    def fits(self, job: OfferedJob) -> bool:
        """
        Whether it permits to sign *job*.
        """
        if self.submitter not in (None, job.submitter):
            return False
        return self.arches is None or self.arches.issuperset(job.arches)


class _RuleType(click.ParamType[Rule]):
    name = "rule"

    def convert(self, value: str | Rule, param: click.Parameter | None, ctx: click.Context | None) -> Rule:
        if isinstance(value, Rule):
            return value
        rule = Rule()
        for part in value.split(","):
            key, _, wanted = part.partition("=")
            if not wanted or key not in ("submitter", "arch"):
                self.fail(f"{value!r:.100} is no rule like submitter=NAME,arch=ARCH", param, ctx)
            if key == "submitter":
                rule = evolve(rule, submitter=wanted)
            else:
                rule = evolve(rule, arches=(rule.arches or frozenset()) | {wanted})
        return rule


class SigningCommand(FarmCommand):
    """
    A `FarmCommand` whose string is for one target, or an admin's.
    """

    furlfile_help = "A file with the string that buildbot-lite grant sign or grant push gave you, instead of DIR."


@click.command("sign", cls=SigningCommand, short_help="Sign the packages of jobs with your own gpg.")
@_jobs
@_all
@click.option("--key", metavar="KEY", help="Your key, by a name that gpg knows, such as its fingerprint.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@click.option("--json", "as_json", is_flag=True, help="Only show what is to be signed, as JSON.  Nothing is signed.")
@click.option("--watch", is_flag=True, help='Sign what fits the rules, until Ctrl-C; for targets with sign="auto".')
@click.option(
    "--rule",
    "rules",
    type=_RuleType(),
    multiple=True,
    metavar="RULE",
    help="With --watch, what to sign: submitter=NAME,arch=ARCH; may be repeated.  Without one: everything.",
)
@_target
def sign(
    farm: FarmClient,
    jobs: tuple[int, ...],
    everything: bool,
    key: str | None,
    yes: bool,
    as_json: bool,
    watch: bool,
    rules: tuple[Rule, ...],
    target: str,
) -> None:
    """
    Sign the packages of jobs that wait in needsign, and the index of the repository with them.

    The string in the file of --furlfile was made by: buildbot-lite grant sign TARGET.  An admin may give DIR instead.

    Only what is signed travels: headers and indexes, not the packages.  Your gpg makes the signatures here, and asks
    for the passphrase in its own way; no secret key and no passphrase leaves this machine.  You see what you sign
    before you sign it.
    """
    if watch == bool(jobs or everything) or (jobs and everything):
        raise click.UsageError("Give JOB..., or --all, or --watch.")
    if rules and not watch:
        raise click.UsageError("--rule is for --watch.")
    if as_json:
        if watch or yes:
            raise click.UsageError("--json shows what is to be signed, and signs nothing: leave --watch and --yes out.")
        show(farm.ask(_about("sign-offer", jobs or None, target))["jobs"], "", as_json=True)
        return
    if key is None:
        raise click.UsageError("Give --key KEY, or --json to see what is to be signed.")
    gnupg = Gnupg(key)
    gnupg.check()
    if watch:
        farm.call(lambda link: _watched(farm, link, gnupg, rules, target))
        return
    display = _Display("" if yes else key)
    _tell(farm, farm.call(lambda link: _signed(_signer(link, gnupg, display, target), jobs or None)))


@click.command("push", cls=SigningCommand, short_help="Publish the jobs that are signed.")
@_jobs
@_all
@_target
def push(farm: FarmClient, jobs: tuple[int, ...], everything: bool, target: str) -> None:
    """
    Let the master publish jobs that are signed, so that apt and dnf find them.  It does so at once, unless something
    stops it, like a full disk: package show tells.

    The string in the file of --furlfile was made by: buildbot-lite grant push TARGET.  An admin may give DIR instead.

    What was signed together is published together.  Nothing happens to jobs that are public already.
    """
    if bool(jobs) == everything:
        raise click.UsageError("Give JOB..., or --all.")
    pushed = farm.ask(_about("push", jobs or None, target))["jobs"]
    if not pushed:
        tell("There is nothing to push: it is public already.")
        return
    tell(f"to be published: {_named(pushed)}")
    shown = _command(farm, "package show", pushed[0] if len(pushed) == 1 else "JOB")
    with_which = "" if farm.directory is not None else " with a string for these jobs (that for pushing shows none)"
    note(f"# when they are public, or what they wait for, tells{with_which}: {shown}")


class _Display:
    """
    Shows a round to the signer.  *key*: asks before this key is used; "": does not ask.  *say*: shows a line.
    """

    def __init__(self, key: str, say: Callable[[str], object] = note) -> None:
        self._key = key
        self._say = say
        self._made_from: list[str] = []

    def offered(self, offers: Offers) -> None:
        for job in offers.jobs:
            arches = ", ".join(job.arches)
            self._say(
                f"job {job.job} for {offers.target}: {job.package} {job.version} ({arches}), from {job.submitter}"
            )
            if job.source is not None:
                self._say(f"  {'submitted' if job.origin is None else 'made'}: {_described(job.source)}")
            if job.origin is not None:
                made_from = f"{job.origin.repository} at {job.origin.revision}, commit {job.origin.commit}"
                self._say(f"  made from {made_from}")
                self._made_from.append(f"The source of job {job.job} was made from {made_from}.")
            missing = {file.name for file in job.missing}
            for package in job.packages:
                # The others are shown with what their own bytes say.
                if package.name not in missing:
                    self._say(f"  {_described(package)}")
            signed = len(job.files) - len(job.missing)
            if signed:
                self._say(f"  {signed} of its {len(job.files)} packages are signed already")
        if not offers.jobs:
            self._say(f"No job of {offers.target} waits for a signature.")

    def to_sign(self, file: WantedFile, what: str) -> None:
        kind = " (as text)" if file.text else ""
        self._say(f"  {file.name}, {file.size:,} bytes, sha256 {file.sha256}")
        self._say(f"    {what}: {file.length:,} bytes are signed{kind}")

    def also(self, jobs: Sequence[int]) -> None:
        self._say(f"The index has other jobs, too, which were signed before and are not public yet: {_named(jobs)}")

    def agreed(self) -> bool:
        if not self._key:
            return True
        # Again, because what is signed may have filled the screen since.
        for sentence in self._made_from:
            self._say(sentence)
        with interruptible():
            return click.confirm(f"Sign this with the key {self._key}?", err=True)


def _about(question: str, jobs: Sequence[int] | None, target: str) -> Document:
    named = {"target": target} if target else {}
    return {"ask": question, **named, **({} if jobs is None else {"jobs": [str(job) for job in jobs]})}


async def _signed(signer: Signer, jobs: Sequence[int] | None) -> SigningSummary:
    offers = await signer.offers(jobs)
    if not offers.jobs:
        signer.display.offered(offers)
        return SigningSummary()
    return await signer.run(offers)


def _signer(link: MasterLink, gnupg: Gnupg, display: _Display, target: str) -> Signer:
    async def sign(data: bytes, text: bool) -> Signature:
        # No connection is open between two questions, so nothing waits for this thread while gpg does for a passphrase.
        with interruptible():
            return gnupg.sign(data, text=text)

    return Signer(link.ask, sign, display, target)


async def _watched(farm: FarmClient, link: MasterLink, gnupg: Gnupg, rules: Sequence[Rule], target: str) -> None:
    said = ""
    while True:
        try:
            _tell(farm, await _signed_what_fits(link, gnupg, rules, target))
            said = ""
        except _FINAL:
            raise
        except (NoAnswerError, LinkLostError, RefusedError, InputError) as error:
            # The same obstacle is told once.
            if str(error) != said:
                note(said_here(str(error)))
                said = str(error)
        await link.pause(LOOK_AGAIN)


async def _signed_what_fits(link: MasterLink, gnupg: Gnupg, rules: Sequence[Rule], target: str) -> SigningSummary:
    lines: list[str] = []
    # Told once it is signed, and not each time that it could not be.
    signer = _signer(link, gnupg, _Display("", lines.append), target)
    offers = await signer.fitting(lambda job: not rules or any(rule.fits(job) for rule in rules))
    if not offers.automatic:
        raise NotAutomaticError(offers.target)
    if not offers.jobs:
        return SigningSummary()
    summary = await signer.run(offers)
    note("\n".join(lines))
    return summary


class NotAutomaticError(BuildbotLiteError):
    """
    A target that people sign cannot be watched.
    """

    def __init__(self, target: str) -> None:
        super().__init__(
            f'{target} does not have sign="auto", so people sign for it: leave --watch out, and name jobs.'
        )


def _tell(farm: FarmClient, summary: SigningSummary) -> None:
    if summary.refused:
        note("Nothing was signed.")
        raise click.exceptions.Exit(1)
    if not summary.jobs:
        return
    if not summary.fetched:
        pushing = _command(farm, "package push", *summary.jobs)
        note(f"nothing is left to sign: {_named(summary.jobs)} had all signatures before.  Publish: {pushing}")
        return
    note(f"# {summary.fetched:,} of {summary.size:,} bytes went out")
    if summary.pushed:
        note(f"signed, to be published: {_named(summary.jobs)}")
    else:
        note(f"signed: {_named(summary.jobs)}.  Publish: {_command(farm, 'package push', *summary.jobs)}")


def _command(farm: FarmClient, name: str, *arguments: object) -> str:
    """
    The command line of another command for the same master.  A string to sign or to push does not permit it, so its
    file is for the reader to name.
    """
    if farm.directory is not None:
        return farm.command(name, *arguments)
    return f"buildbot-lite {name} {' '.join(map(str, arguments))} --furlfile FILE"


def _described(file: OfferedFile) -> str:
    return f"{file.name or 'a file'}, {file.size:,} bytes, sha256 {file.sha256}"


def _named(jobs: Sequence[int]) -> str:
    return ", ".join(f"job {number}" for number in jobs)


COMMANDS: Sequence[click.Command] = (sign, push)
"""For the group ``package``."""
