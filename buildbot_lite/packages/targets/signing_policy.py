"""
How the packages of a target are signed and published: its arguments ``sign``, ``sign_key`` and ``repo_script``.
"""

from typing import Any

from attrs import frozen

from ...master.config.arguments import ArgumentChecker

MANUAL, AUTO = "manual", "auto"


@frozen
class SigningPolicy:
    """
    *sign*: `MANUAL`: people sign packages and then push them.  `AUTO`: a signer's program signs, and signed packages
    are published at once.  None: packages are not signed.  *key*: the file with the public key, or "".  *repo_script*:
    the program that runs after the public repository changed, or "".
    """

    sign: str | None = None
    key: str = ""
    repo_script: str = ""


def checked_policy(arguments: ArgumentChecker, sign: Any, sign_key: Any, repo_script: Any) -> SigningPolicy:
    """
    The policy of a target with these arguments.  Mistakes are noted.
    """
    if sign is not None and sign not in (MANUAL, AUTO):
        arguments.wrong("sign", sign, '"manual", "auto" or None')
        sign = None
    key = "" if sign_key is None else arguments.text("sign_key", sign_key)
    script = "" if repo_script is None else arguments.text("repo_script", repo_script)
    if sign is not None and not key:
        arguments.note(
            f'sign={sign!r} needs sign_key, the file with the public key, like "keys/farm.asc".  Write it: '
            "gpg --armor --export KEY > keys/farm.asc"
        )
    return SigningPolicy(sign, key, script)
