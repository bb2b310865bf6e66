"""
The filter of a question about builds.
"""

from ..errors import NotFoundError
from ..model.json_reader import JsonReader
from ..model.results import Result
from ..model.suggestions import there_is_no
from ..storage.records.history import Filter

RUNNING = "running"
"""The word, among results, for builds without a result yet."""

MOST_PROPERTIES = 20
LONGEST = 1000


def filter_of(question: JsonReader) -> Filter:
    """
    The filter in the fields ``builder``, ``branch``, ``results``, ``slave``, ``since`` and ``properties`` (name → value
    as text) of *question*.
    """
    properties = JsonReader(question.mapping("properties", {}, most=MOST_PROPERTIES), "the properties")

    def text(name: str) -> str | None:
        return question.optional(name, lambda field: question.text(field, limit=LONGEST))

    return Filter(
        builder=text("builder"),
        branch=text("branch"),
        results=[_result(word) for word in question.texts("results", [], most=len(Result) + 1)],
        slave=text("slave"),
        since=question.optional("since", question.number),
        properties={name: properties.text(name, limit=LONGEST) for name in properties.document},
    )


def _result(word: str) -> Result | None:
    if word == RUNNING:
        return None
    if word not in Result.__members__:
        raise NotFoundError(there_is_no("result", word, [*Result.__members__, RUNNING]))
    return Result[word]
