"""
From a delivery to its report.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import parse_qs

from attrs import evolve

from .....errors import BuildbotLiteError, WebhookError
from .....model.json_reader import JsonReader
from .....model.webhook import LARGEST_BODY, Delivery
from ....config.webhooks import HookDialect
from . import bitbucket, gitea, github, gitlab
from .payload import HookReport
from .signatures import check

MOST_VALUES = 300_000
"""Values in a payload: 2048 commits have about 60 000, and their files come on top."""

_READERS: Mapping[str, Callable[[Delivery, JsonReader, HookDialect], HookReport]] = MappingProxyType(
    {"github": github.read, "gitlab": gitlab.read, "gitea": gitea.read, "bitbucket": bitbucket.read}
)


def read_delivery(delivery: Delivery, dialect: HookDialect, secret: str) -> HookReport:
    """
    The report of *delivery*, if it proves knowledge of *secret*; otherwise, and if it cannot be read, `WebhookError`,
    with a sentence for the forge.  No part of the body is parsed before its signature was checked.
    """
    check(delivery, secret)
    try:
        payload = JsonReader.decode(_json_of(delivery), "the payload", LARGEST_BODY, most=MOST_VALUES)
        report = _READERS[delivery.dialect](delivery, payload, dialect)
        if not report.changes:
            return report  # a function of master.cfg need not know other payloads
        codebase = delivery.codebase or dialect.codebase_of(payload.document)
        changes = [
            evolve(each, codebase=codebase, project=delivery.project or each.project).checked()
            for each in report.changes
        ]
        return evolve(report, changes=changes)
    except WebhookError:
        raise
    except BuildbotLiteError as error:
        raise WebhookError(400, f"This is no payload of {delivery.dialect}: {error}") from None


def _json_of(delivery: Delivery) -> bytes:
    """
    The payload: the body, or the field "payload" of a form.
    """
    if not delivery.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return delivery.body
    try:
        fields = parse_qs(delivery.body.decode("ascii", "replace"), max_num_fields=10)
    except ValueError:
        fields = {}
    return next(iter(fields.get("payload", [])), "").encode("utf-8", "replace")
