"""
What the master itself writes about a build, without the values of the secrets that the build's commands were told.

Logs of commands are masked by their keepers, and no step ever sees a value: it has a reference.  But the code of a
configuration may come by one in other ways (it reads the very file, and quotes it in an exception), so text of ours is
looked through as well: tracebacks, remarks, summaries, and properties.  A master that was started anew knows the values
again when the build's next command needs them.
"""

from typing import cast

from attrs import define, field

from ...keeper.masking import Search, masked_text
from ...model.properties import Json, Properties
from ...model.urls import without_passwords


@define
class Redaction:
    """
    Over the text of one build.
    """

    _values: dict[str, str] = field(factory=dict, repr=False)
    _search: Search | None = field(default=None, repr=False)

    def hide(self, name: str, value: str) -> str:
        """
        From now on hide *value*, that of the secret *name*; answers it.
        """
        if self._values.get(name) != value:
            self._values[name] = value
            self._search = Search(each.encode() for each in self._values.values())
        return value

    def text(self, text: str) -> str:
        """
        *text* with as many stars as the secrets in it have bytes, and with stars for the passwords of addresses.
        """
        return without_passwords(self._masked(text))

    def properties(self, properties: Properties) -> None:
        """
        Mask the values of *properties*: a property is recorded, shown, and passed on to other builds.
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
