"""
Redaction of secrets in the text that the master writes about a build.

Keepers mask the logs of commands, and a step has only references to secrets, never their values.  But the code of a
configuration can get a value in another way: it may read the same file, and quote it in an exception.  So the master
masks its own text, too: tracebacks, remarks, summaries and properties.  After a restart, a value is masked from the
next command on that needs it.
"""

from typing import cast

from attrs import define, field

from ...keeper.masking import Search, masked_text
from ...model.properties import Json, Properties
from ...model.urls import without_passwords


@define
class Redaction:
    """
    The values to hide in the text about one build.
    """

    _values: dict[str, str] = field(factory=dict, repr=False)
    _search: Search | None = field(default=None, repr=False)

    def hide(self, name: str, value: str) -> str:
        """
        Hide *value*, the value of the secret *name*, from now on; return *value*.
        """
        if self._values.get(name) != value:
            self._values[name] = value
            self._search = Search(each.encode() for each in self._values.values())
        return value

    def text(self, text: str) -> str:
        """
        *text*, with a star for each byte of a secret, and with stars for passwords in URLs.
        """
        return without_passwords(self._masked(text))

    def properties(self, properties: Properties) -> None:
        """
        Mask the values of *properties* in place: properties are recorded, shown, and passed on to other builds.
        """
        if self._search is not None:
            for name, value in properties.values().items():
                masked = self._document(value)
                if masked != value:
                    properties.set(name, masked, properties.source(name) or "")

    def _document(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, list):
            return [self._document(item) for item in value]
        if isinstance(value, dict):
            return {cast("str", self._document(key)): self._document(item) for key, item in value.items()}
        return value

    def _masked(self, text: str) -> str:
        return text if self._search is None else masked_text(self._search, text)
