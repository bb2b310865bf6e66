"""
The object that the string of a web process leads to: what ``grant webhooks`` hands out::

    web process ── Delivery ──► its secret, its signature, its payload (in a thread) ──► changes are recorded
                ◄── HookReply ──                  │
                                                  '── a repository that is polled here: its poller polls now

The string alone permits nothing: each delivery must prove that its sender knows the secret of the forge.
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ..errors import ConfigError, WebhookError
from ..master.config.master_config import MasterConfig
from ..master.config.webhooks import HookDialect
from ..master.scheduling.changes.recorder import ChangeRecorder
from ..master.scheduling.changes.sources import ChangeSources
from ..master.scheduling.changes.webhooks.payload import HookReport
from ..master.scheduling.changes.webhooks.reading import read_delivery
from ..model.rendering import Secret
from ..model.webhook import LARGEST_FRAME, Delivery, HookReply
from ..storage.records.grants import Grant
from .changes import Intake, marking_use, named, unbuilt


@frozen
class WebhookIntake:
    """
    The role `ChangeIntake` for deliveries of forges, as *config* permits them now.
    """

    config: Callable[[], MasterConfig]
    recorder: ChangeRecorder
    sources: ChangeSources
    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    wall: Callable[[], float]
    largest: int = LARGEST_FRAME

    async def take(self, data: bytes, grant: Grant) -> Intake:
        try:
            sentence, remarks = await self._recorded(Delivery.from_bytes(data), grant)
        except WebhookError as error:
            # This does not count as a use: anybody can have the web process hand over a wrong signature.
            return Intake(HookReply(error.status, str(error)).to_bytes(), used=False)
        except ConfigError as error:
            return Intake(HookReply(503, str(error)).to_bytes(), used=False)
        return Intake(HookReply(200, sentence).to_bytes(), remarks)

    async def _recorded(self, delivery: Delivery, grant: Grant) -> tuple[str, Sequence[str]]:
        config = self.config()
        dialect = config.www.dialects.get(delivery.dialect)
        if dialect is None:
            raise WebhookError(
                404,
                f"This farm takes no webhooks of {delivery.dialect!r:.60}: master.cfg does not name them in "
                "c['www']['change_hook_dialects'].",
            )
        report: HookReport = await self.in_thread(lambda: _read(delivery, dialect, config))
        if (why := config.why_no_codebase(delivery.codebase)) is not None:
            raise WebhookError(400, f"The address of the webhook names a codebase that is not there: {why}")
        polled = self._poll(report.addresses) if report.changes else ()
        recorded = await self.recorder.add(() if polled else report.changes, marking_use(grant, self.wall()))
        duplicates = 0 if polled else len(report.changes) - len(recorded)
        return " ".join(
            [
                *([f"Recorded {_count(len(recorded))}."] if recorded else []),
                *([f"{_count(duplicates).capitalize()} had been recorded before."] if duplicates else []),
                *([f"{', '.join(polled)} polls now."] if polled else []),
                *([report.remark] if report.remark else []),
                *unbuilt(config, recorded),
            ]
        ), named(recorded)

    def _poll(self, addresses: Sequence[str]) -> list[str]:
        """
        Have the sources that poll the repository poll now; returns their names.
        """
        return list(dict.fromkeys(name for each in addresses for name in self.sources.poll_soon(each)))


def _read(delivery: Delivery, dialect: HookDialect, config: MasterConfig) -> HookReport:
    try:
        secret = config.secret(dialect.secret.name) if isinstance(dialect.secret, Secret) else dialect.secret
    except ConfigError:
        raise WebhookError(503, f"The farm's secret for webhooks of {dialect.name} is not there.") from None
    return read_delivery(delivery, dialect, secret)


def _count(number: int) -> str:
    return f"{number} change{'' if number == 1 else 's'}"
