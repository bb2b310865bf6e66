"""
Mail: `MailNotifier`.

Addresses come from commits, so anybody may have written them: each is checked, and authors of changes from forks get
mail only at allowed domains.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from functools import partial
from typing import Any, Protocol, runtime_checkable

from ...master.config.arguments import ArgumentChecker
from ...master.config.renderable_objects import Secret
from ...model.display import printable
from ...model.user_functions import limited
from ...storage.records.outbox import OutboxMessage
from .details import BuildDetails, FarmFacts
from .formatting import LONGEST_SUBJECT, Message, MessageFormatter, formatter_of
from .generators import ALL, BuildSetStatusGenerator, BuildStatusGenerator, Generator, WorkerMissingGenerator
from .reporter import NotSentError, Outside, Reporter
from .smtp import MailServer, reply_text, send

MOST_RECIPIENTS = 50
# RFC 5321 4.5.3.1: 64 octets before the @, 255 after it.
# A subset: what could mean something to a shell, or begins with a dash, is no address here.
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9.!#%&*+/=?^_~-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?\Z")


@runtime_checkable
class EmailLookup(Protocol):
    """
    Finds the address of a user, whom a change names.
    """

    def getAddress(self, name: str) -> Any:
        """
        The address, None when there is none, or an awaitable of either.
        """


class MailNotifier(Reporter):
    """
    Mails about builds.

    *fromaddr*: the sender.  *mode*, *tags*, *builders*, *schedulers*, *branches*: which builds, unless *generators* say
    it.  *buildSetSummary*: one mail for each buildset.  *extraRecipients* get each mail; authors of changes, too, if
    *sendToInterestedUsers*: *lookup* finds their addresses, or is the domain to put behind names without one.
    *allowedDomains*: authors elsewhere get no mail; None: authors of changes from forks get none, others do.
    """

    def __init__(
        self,
        fromaddr: Any,
        mode: Any = ALL,
        categories: Any = None,
        builders: Any = None,
        addLogs: Any = False,
        relayhost: Any = "localhost",
        subject: Any = None,
        lookup: Any = None,
        extraRecipients: Any = (),
        sendToInterestedUsers: Any = True,
        extraHeaders: Any = None,
        addPatch: Any = True,
        useTls: Any = False,
        useSmtps: Any = False,
        smtpUser: Any = None,
        smtpPassword: Any = None,
        smtpPort: Any = 25,
        *,
        tags: Any = None,
        schedulers: Any = None,
        branches: Any = None,
        buildSetSummary: Any = False,
        messageFormatter: Any = None,
        generators: Any = None,
        allowedDomains: Any = None,
        dumpMailsToLog: Any = False,
        name: Any = None,
    ) -> None:
        chosen = tags if categories is None else categories
        selecting = {
            "mode": None if mode is ALL else mode,
            "categories": categories,
            "tags": tags,
            "builders": builders,
            "schedulers": schedulers,
            "branches": branches,
            "subject": subject,
            "addLogs": addLogs or None,
            "buildSetSummary": buildSetSummary or None,
            "messageFormatter": messageFormatter,
        }
        generator_class = BuildSetStatusGenerator if buildSetSummary else BuildStatusGenerator
        arguments = ArgumentChecker(type(self).__name__, self)
        formatter = formatter_of(
            arguments, messageFormatter, lambda: MessageFormatter(subject=subject), "messageFormatter"
        )
        self._default: Sequence[Generator | WorkerMissingGenerator] = [
            generator_class(mode, chosen, builders, schedulers, branches, message_formatter=formatter),
            WorkerMissingGenerator(),
        ]
        super().__init__(generators, name, **selecting)
        arguments = self.arguments
        self.sender = arguments.text("fromaddr", fromaddr)
        _check_addresses(arguments, "fromaddr", [self.sender], "a mail address")
        self.extra = tuple(arguments.texts("extraRecipients", extraRecipients))
        _check_addresses(arguments, "extraRecipients", self.extra, "mail addresses")
        self.to_authors = arguments.flag("sendToInterestedUsers", sendToInterestedUsers)
        self.lookup = _checked_lookup(arguments, lookup)
        self.domains = None if allowedDomains is None else arguments.texts("allowedDomains", allowedDomains)
        self.headers = _checked_headers(arguments, extraHeaders)
        self.server = MailServer(
            arguments.text("relayhost", relayhost),
            arguments.whole("smtpPort", smtpPort, least=1, most=65535),
            None if smtpUser is None else arguments.text("smtpUser", smtpUser),
            None if smtpPassword is None else arguments.secret("smtpPassword", smtpPassword),
            arguments.flag("useTls", useTls),
            arguments.flag("useSmtps", useSmtps),
        )

    def default_generators(self) -> Sequence[Generator | WorkerMissingGenerator]:
        return self._default

    def compose_missing(self, farm: FarmFacts, slave: str, since: float | None, notify: Sequence[str]) -> Any:
        recipients = [parseaddr(each)[1] for each in notify]
        when = "never connected" if since is None else f"has been away since {formatdate(since, localtime=True)}"
        return {
            "to": [each for each in dict.fromkeys(recipients) if _is_address(each)][:MOST_RECIPIENTS],
            "subject": printable(f"{slave} is missing: {farm.title}", longest=LONGEST_SUBJECT),
            "text": f"The slave {slave} of {farm.title} {when}.\n\nIts builds wait for it, or for other slaves.\n",
            "type": "plain",
        }

    async def compose(self, builds: Sequence[BuildDetails], message: Message) -> Any:
        recipients = await self._recipients(builds)
        if not recipients:
            return None
        return {
            "to": recipients,
            "subject": printable(message.subject, longest=LONGEST_SUBJECT),
            "text": message.body,
            "type": "html" if message.type == "html" else "plain",
        }

    def compose_for(self, mailbox: str, subject: str, text: str, *, to_extra: bool = False) -> Any:
        """
        The stored form of a mail to the person *mailbox*, a name with an address, and with *to_extra* to the
        ``extraRecipients``; None if there is nobody with an address to which mail is allowed.
        """
        address = parseaddr(mailbox)[1]
        to = [parseaddr(each)[1] for each in self.extra] if to_extra else []
        if self.to_authors and _is_address(address) and self._may_get(address, untrusted=False):
            to.append(address)
        if not to:
            return None
        return {
            "to": list(dict.fromkeys(to))[-MOST_RECIPIENTS:],
            "subject": printable(subject, longest=LONGEST_SUBJECT),
            "text": text,
            "type": "plain",
        }

    async def send(self, message: OutboxMessage, outside: Outside) -> None:
        mail = self._mail(message, outside.origin)
        password = self.server.password
        if isinstance(password, Secret):
            password = await outside.in_thread(partial(outside.secret, password.name))
        work = partial(send, self.server, password, mail, message.body["to"], outside.mail_connections)
        later = await outside.in_thread(work)
        if later:
            said = reply_text(*next(iter(later.values())))
            why = f"the mail server {self.server.host} does not take it for {', '.join(later)} now: {said}"
            raise NotSentError(why, left={**message.body, "to": list(later)})

    def _mail(self, message: OutboxMessage, origin: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = ", ".join(message.body["to"])
        mail["Subject"] = _plain(message.body["subject"])
        mail["Date"] = formatdate(message.created)
        # RFC 5322 3.6.4; the same for each attempt, so that a receiver can see a repetition.
        host = parseaddr(self.sender)[1].partition("@")[2]
        mail["Message-ID"] = f"<{message.key}.{re.sub('[^A-Za-z0-9]', '-', message.reporter)}.{origin}@{host}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answers, please
        for name, value in self.headers.items():
            del mail[name]  # a second Subject, Date and so on is an error
            mail[name] = _plain(str(value))
        # JSON can hold lone surrogates, which no mail can.
        text = message.body["text"].encode("utf-8", "replace").decode()
        mail.set_content(text, subtype=message.body["type"])
        return mail

    async def _recipients(self, builds: Sequence[BuildDetails]) -> list[str]:
        addresses = [parseaddr(each)[1] for each in self.extra]
        if self.to_authors:
            for build in builds:
                for owner in build.owners():
                    address = await self._address(owner)
                    if address is not None and self._may_get(address, untrusted=build.untrusted):
                        addresses.append(address)
        return list(dict.fromkeys(addresses))[:MOST_RECIPIENTS]

    async def _address(self, owner: str) -> str | None:
        lookup = self.lookup
        if isinstance(lookup, EmailLookup):
            answer = limited(lookup.getAddress, "lookup.getAddress")(owner)
            address = await answer if inspect.isawaitable(answer) else answer
        else:
            address = parseaddr(owner)[1] or owner
            if isinstance(lookup, str) and "@" not in address:
                address = f"{address}@{lookup.lstrip('@')}"
        return address if isinstance(address, str) and _is_address(address) else None

    def _may_get(self, address: str, *, untrusted: bool) -> bool:
        if self.domains is None:
            return not untrusted or isinstance(self.lookup, EmailLookup)
        return address.rpartition("@")[2].lower() in {each.lower().lstrip("@") for each in self.domains}


def _plain(text: str) -> str:
    """
    *text* as the value of a header field, in which nothing begins an encoded word (RFC 2047 2): Python decodes those,
    and some of its versions write a line feed of theirs as one, after which a text of others begins a field of its own.
    """
    return printable(text).replace("=?", "= ?")


def _is_address(text: str) -> bool:
    if _ADDRESS.match(text) is None:
        return False
    try:
        return Address(addr_spec=text).addr_spec == text
    except ValueError:
        return False


def _check_addresses(arguments: ArgumentChecker, argument: str, mailboxes: Sequence[str], wanted: str) -> None:
    for each in mailboxes:
        if not _is_address(parseaddr(each)[1]):
            arguments.wrong(argument, each, wanted)


def _checked_lookup(arguments: ArgumentChecker, lookup: Any) -> str | EmailLookup | None:
    if lookup is None or isinstance(lookup, (str, EmailLookup)):
        return lookup
    arguments.wrong("lookup", lookup, "a domain, or an object with getAddress(name)")
    return None


def _checked_headers(arguments: ArgumentChecker, headers: Any) -> Mapping[str, Any]:
    checked = arguments.properties("extraHeaders", {} if headers is None else headers)
    for header in checked:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,80}", header):
            arguments.wrong("extraHeaders", header, "names of header fields")
    return checked
