"""
Whether a delivery comes from a holder of the secret.

GitHub, Gitea and Bitbucket sign the body: HMAC-SHA256 in hexadecimal, with "sha256=" before it except at Gitea.  GitLab
sends the secret itself.
"""

import hashlib
import hmac

from .....errors import WebhookError
from .....model.webhook import Delivery

_PREFIX = {"github": "sha256=", "gitea": "", "bitbucket": "sha256="}


def check(delivery: Delivery, secret: str) -> None:
    """
    `WebhookError` unless *delivery* proves knowledge of *secret*; takes the same time for every wrong proof.
    """
    if not delivery.proof:
        raise WebhookError(
            403,
            f"The request has no header {delivery.proof_header}: enter the secret of c['www'] in the settings of the "
            "webhook.",
        )
    expected = proof(delivery.dialect, delivery.body, secret)
    # A header's bytes arrive as Latin-1; a secret is sent in UTF-8.
    if not hmac.compare_digest(delivery.proof.encode("latin-1", "replace"), expected.encode()):
        raise WebhookError(
            403,
            f"The header {delivery.proof_header} does not match: the webhook has another secret than c['www'] in "
            "master.cfg.",
        )


def proof(dialect: str, body: bytes, secret: str) -> str:
    """
    The proof that a forge sends with *body*, as in `Delivery.proof`.
    """
    if dialect == "gitlab":
        return secret
    return _PREFIX[dialect] + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
