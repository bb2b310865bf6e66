"""
The documents of the API as JSON Schema (2020-12, the dialect of OpenAPI 3.1), in a short notation.
"""

from collections.abc import Mapping
from typing import Any

from ...model.results import Result

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}
MAP: Schema = {"type": "object"}
MOMENT: Schema = {"type": "number", "description": "seconds since 1970"}
RESULT: Schema = {"enum": [*Result.__members__, None], "description": "null: it has none yet"}


def list_of(items: Schema) -> Schema:
    """
    An array of *items*.
    """
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """
    *schema*, or null.
    """
    kind = schema.get("type")
    return {**schema, "type": [kind, "null"]} if isinstance(kind, str) else {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """
    The component *name*.
    """
    return {"$ref": f"#/components/schemas/{name}"}


def record(**fields: Schema) -> Schema:
    """
    An object that has all *fields*, and later ones.
    """
    return {"type": "object", "required": list(fields), "properties": fields}


def with_optional(schema: Schema, **fields: Schema) -> Schema:
    """
    *schema*, an object, that may have *fields* too.
    """
    return {**schema, "properties": {**schema["properties"], **fields}}


def some(**fields: Schema) -> Schema:
    """
    An object that has *fields*, if its maker knows them, and further ones.
    """
    return {"type": "object", "properties": fields}


def page_of(field: str, component: str) -> Schema:
    """
    One page of a list: the list *field*, and where the next page begins.
    """
    following = {**or_null(TEXT), "description": "the cursor of the next page; null at the end"}
    return record(**{field: list_of(ref(component)), "next": following})


_AWAY = {**or_null(MOMENT), "description": "since when the master does not answer; null: it does"}
_BUILD_NAME = record(builder=TEXT, number=WHOLE)
_STEP = record(
    name=TEXT,
    number=WHOLE,
    result=RESULT,
    summary=TEXT,
    started=MOMENT,
    finished=or_null(MOMENT),
    hidden=FLAG,
    logs=list_of(TEXT),
)
_CAUSED = record(request=WHOLE, builder=TEXT, number=or_null(WHOLE), result=RESULT)
_BUILD: dict[str, Schema] = {
    "id": WHOLE,
    "builder": TEXT,
    "number": WHOLE,
    "request": WHOLE,
    "result": RESULT,
    "reason": TEXT,
    "slave": TEXT,
    "started": MOMENT,
    "finished": or_null(MOMENT),
    "branch": or_null(TEXT),
    "revision": or_null(TEXT),
    "asked": record(by=or_null(TEXT), scheduler=TEXT, reason=TEXT, at=MOMENT),
    "steps": list_of(_STEP),
    "triggered_by": or_null(_BUILD_NAME),
    "triggered": list_of(_CAUSED),
}
_PROPERTIES: Schema = {
    "type": "object",
    "description": "name → [value, source]",
    "additionalProperties": {"type": "array", "minItems": 2, "maxItems": 2},
}
_WAITING = record(
    request=WHOLE,
    builder=TEXT,
    scheduler=TEXT,
    submitted=MOMENT,
    priority=WHOLE,
    retries=WHOLE,
    why=record(kind=TEXT, sentence=TEXT),
    position={**or_null(WHOLE), "description": "1: the next one to build; null: behind the first 1,000, or not known"},
    expected_start=or_null(MOMENT),
)
_SLAVE = with_optional(
    record(
        slave=TEXT,
        connected=FLAG,
        since=or_null(MOMENT),
        paused={**or_null(MOMENT), "description": "since when; null: it is not"},
        draining=FLAG,
        revoked=FLAG,
        refused=or_null(some(at=MOMENT, reason=TEXT)),
        breach=or_null(some(at=MOMENT, reason=TEXT)),
        obstacle=or_null(TEXT),
        running=list_of(TEXT),
        max_builds=or_null(WHOLE),
        builders=list_of(TEXT),
        version=or_null(TEXT),
        space=ANY,
        low_space=FLAG,
        removed=list_of(ANY),
        platform=or_null(MAP),
    ),
    state={**TEXT, "description": "one word, such as here, reconnecting, paused"},
    why={**or_null(TEXT), "description": "the reason for its state"},
    grace_left={**or_null(NUMBER), "description": "seconds until its builds are given up"},
    attached={**or_null(MOMENT), "description": "when it connected last; in the document of one slave"},
)
_UNSENT = record(
    reporter=TEXT,
    messages=WHOLE,
    since=MOMENT,
    failure=TEXT,
    next={**or_null(MOMENT), "description": "of the next attempt; null: it was given up"},
)

_REACH = some(builds_since=or_null(MOMENT), logs_since=or_null(MOMENT), marked=WHOLE)
_GRANT = some(
    grant=WHOLE,
    verb=TEXT,
    name=TEXT,
    label=or_null(TEXT),
    state=TEXT,
    pinned=ANY,
    links=WHOLE,
    created=MOMENT,
    used=or_null(MOMENT),
    uses=WHOLE,
    uses_allowed=or_null(WHOLE),
    expires=or_null(MOMENT),
)

_FORM_FIELD = some(
    name=TEXT,
    label=TEXT,
    group=TEXT,
    kind=TEXT,
    default=ANY,
    required=FLAG,
    multiple=FLAG,
    open=FLAG,
    choices=list_of(TEXT),
    demand=TEXT,
    problem=ANY,
)
_FORM = some(scheduler=TEXT, label=TEXT, button=TEXT, any=FLAG, fields=list_of(_FORM_FIELD))

_FARM = record(
    title=or_null(TEXT),
    url=or_null(TEXT),
    version=or_null(TEXT),
    away_since=_AWAY,
    slaves=list_of(_SLAVE),
    running=list_of(
        record(
            builder=TEXT,
            number=WHOLE,
            slave=TEXT,
            request=WHOLE,
            started=MOMENT,
            waits_for=or_null(TEXT),
            expected_end=or_null(MOMENT),
        )
    ),
    waiting=list_of(_WAITING),
    waiting_total=WHOLE,
    change_sources=list_of(
        some(name=TEXT, kind=TEXT, polled=or_null(MOMENT), next=or_null(MOMENT), error=or_null(TEXT))
    ),
)

_LIVE: Mapping[str, Schema] = {
    "waits_for": {**or_null(TEXT), "description": "of one that runs: the reason for which its present step waits"},
    "expected_end": {**or_null(MOMENT), "description": "of one that runs; null: not known"},
}

COMPONENTS: Mapping[str, Schema] = {
    "Problem": with_optional(
        record(status=WHOLE, title=TEXT, detail={**TEXT, "description": "a sentence for people"}),
        problems={
            **list_of(record(name=TEXT, problem=TEXT)),
            "description": "all values of a forced build that are wrong, by name; of a reason with the name reason",
        },
    ),
    "Farm": with_optional(_FARM, kept=_REACH, unsent=list_of(_UNSENT)),
    "Builder": record(
        builder=TEXT,
        configured={**or_null(FLAG), "description": "whether master.cfg has it; null: not known"},
        description=TEXT,
        tags=list_of(TEXT),
        slaves={**or_null(list_of(TEXT)), "description": "null: too many to name, or not known"},
        running=list_of(WHOLE),
        waiting=WHOLE,
        takes={**or_null(NUMBER), "description": "seconds: the median of the good ones of its newest 20 builds"},
        last=or_null(ref("Build")),
    ),
    "Build": record(**_BUILD, **_LIVE),
    "OneBuild": record(**_BUILD, **_LIVE, properties=_PROPERTIES, host=or_null(TEXT), environment=list_of(TEXT)),
    "Properties": record(properties=_PROPERTIES),
    "BuildDetails": record(
        previous={**or_null(WHOLE), "description": "the number of the build before it, of the same builder"},
        next=or_null(WHOLE),
        last_good={**or_null(WHOLE), "description": "the number of the last good one before it"},
        first_bad={**or_null(WHOLE), "description": "of one that failed: of the first that failed after that"},
        source={**MAP, "description": "what was asked for: branch, revision, repository"},
        changes={**list_of(WHOLE), "description": "numbers of changes"},
        elsewhere={
            **list_of(record(builder=TEXT, number=WHOLE, result=RESULT)),
            "description": "builds of the same changes",
        },
        commands=list_of(record(step=WHOLE, line=TEXT, workdir=TEXT, env=list_of(TEXT))),
        remarks=list_of(record(step=WHOLE, log=TEXT, offset=WHOLE, at=MOMENT, text=TEXT)),
        why_kept={**or_null(TEXT), "description": "why retention does not remove it; null: it may"},
    ),
    "Log": record(
        step=WHOLE,
        step_name=TEXT,
        log=TEXT,
        length={**or_null(WHOLE), "description": "bytes; null while it grows"},
        raw={**TEXT, "description": "the address of its bytes, relative to that of this document"},
    ),
    "Artifact": record(
        name=TEXT,
        length=WHOLE,
        sha256=or_null(TEXT),
        step=WHOLE,
        raw={**TEXT, "description": "the address of its bytes, relative to that of this document"},
    ),
    "Waiting": _WAITING,
    "Queue": record(
        queue=list_of(ref("Waiting")),
        next=or_null(TEXT),
        total={**or_null(WHOLE), "description": "how many wait; null: the master has never answered"},
        away_since=_AWAY,
    ),
    "Request": record(
        request=WHOLE,
        builder=TEXT,
        scheduler=TEXT,
        submitted=MOMENT,
        priority=WHOLE,
        retries=WHOLE,
        finished=or_null(MOMENT),
        result=RESULT,
        reason=TEXT,
        builds=list_of(record(builder=TEXT, number=WHOLE, result=RESULT)),
        why={**or_null(MAP), "description": "why it waits: kind and sentence"},
    ),
    "Slave": _SLAVE,
    "Scheduler": record(
        scheduler=TEXT,
        kind=TEXT,
        builders=or_null(list_of(TEXT)),
        waits_for=TEXT,
        next=or_null(MOMENT),
        error=or_null(record(at=MOMENT, sentence=TEXT)),
    ),
    "Change": record(
        change=WHOLE,
        received=MOMENT,
        when=MOMENT,
        author=TEXT,
        committer=TEXT,
        comments=TEXT,
        files=list_of(TEXT),
        revision=or_null(TEXT),
        branch=or_null(TEXT),
        repository=TEXT,
        project=TEXT,
        codebase=TEXT,
        category=or_null(TEXT),
        revlink=TEXT,
        properties=MAP,
        source=TEXT,
        untrusted=FLAG,
        requests=list_of(_CAUSED),
    ),
    "Unsent": _UNSENT,
    "Target": record(
        target=TEXT,
        aliases=list_of(TEXT),
        kind=TEXT,
        arches=list_of(TEXT),
        paused=or_null(some(by=TEXT, at=MOMENT, reason=TEXT)),
        trouble=or_null(record(reason=TEXT, since=MOMENT, again=MOMENT)),
        jobs={**MAP, "description": "the number of unfinished jobs by state"},
    ),
    "TargetRepository": record(
        target=TEXT,
        is_published=FLAG,
        known={**or_null(ref("Target")), "description": "what the master says of it; null: nothing"},
        use={
            **or_null(
                record(
                    tool=TEXT,
                    address=TEXT,
                    is_known={**FLAG, "description": "false: THIS-FARM in the address stands for the farm's name"},
                    is_signed=FLAG,
                    is_private={**FLAG, "description": "true: STRING in the commands stands for a string to watch"},
                    fingerprints=list_of(TEXT),
                    commands={**TEXT, "description": "for a shell: they add the repository, and install from it"},
                )
            ),
            "description": "null: nothing is public",
        },
    ),
    "Package": record(
        name=TEXT,
        version=TEXT,
        source={**or_null(TEXT), "description": "the name of its source package; null: unknown"},
        job={**or_null(WHOLE), "description": "of a source package that is not published: its newest finished job"},
        files=list_of(
            record(
                architecture=TEXT,
                path={**TEXT, "description": "below the repository"},
                size=WHOLE,
                raw={**TEXT, "description": "the address of its bytes, relative to that of this document"},
            )
        ),
    ),
    "RepositoryFile": record(
        name=TEXT,
        path={**TEXT, "description": "below the repository"},
        size={**or_null(WHOLE), "description": "bytes; null: a directory"},
        raw={**or_null(TEXT), "description": "the address of its bytes, relative to that of this document"},
    ),
    "RepositoryFiles": with_optional(
        page_of("files", "RepositoryFile"),
        target=TEXT,
        path={**TEXT, "description": "of the directory, below the repository"},
        more={**FLAG, "description": "whether the directory has further files, which are not listed"},
    ),
    "Packages": with_optional(page_of("packages", "Package"), is_published=FLAG),
    "Job": record(
        job=WHOLE,
        target=TEXT,
        name=TEXT,
        version=TEXT,
        built_version={**or_null(TEXT), "description": "of the packages; null until they are built"},
        submitter=TEXT,
        scratch=FLAG,
        priority=WHOLE,
        after=or_null(WHOLE),
        state=TEXT,
        reason=TEXT,
        created=MOMENT,
        changed=MOMENT,
        finished=or_null(MOMENT),
        history=list_of(list_of(ANY)),
        origin=or_null(some(repository=TEXT, revision=TEXT, commit=or_null(TEXT))),
        arches=list_of(
            record(
                architecture=TEXT,
                state=TEXT,
                reason=TEXT,
                request=or_null(WHOLE),
                builder=TEXT,
                build=or_null(WHOLE),
                slave=or_null(TEXT),
                started=or_null(MOMENT),
                finished=or_null(MOMENT),
                history=list_of(list_of(ANY)),
            )
        ),
    ),
    "Lines": record(
        first={**WHOLE, "description": "the number of the first line"},
        lines=list_of(TEXT),
        next={**or_null(WHOLE), "description": "the number of the line after these; null at the end"},
        ended={**FLAG, "description": "whether the log gets no more lines"},
    ),
    "FoundLines": record(
        found=list_of(
            record(
                line={**WHOLE, "description": "its number"},
                offset={**WHOLE, "description": "the byte at which it begins, or in a long line a place near the text"},
                is_far={**FLAG, "description": "whether the text is far from the beginning of its line"},
                before={**TEXT, "description": "what comes before the text in its line, cut to 100 bytes"},
                text=TEXT,
                after=TEXT,
            )
        ),
        next=or_null(TEXT),
        searched={**WHOLE, "description": "the byte up to which the log was searched"},
        length={**WHOLE, "description": "bytes of the log"},
        ended={**FLAG, "description": "whether the log gets no more lines"},
    ),
    "About": record(
        version={**TEXT, "description": "of the web process"},
        master={**or_null(TEXT), "description": "the version of the master; null: not known"},
        python=TEXT,
        url=or_null(TEXT),
        private={**FLAG, "description": "whether reading needs a string"},
        reach=record(builds_since=or_null(MOMENT), logs_since=or_null(MOMENT), marked=WHOLE),
        packages=list_of(record(name=TEXT, version=TEXT, licence=TEXT)),
    ),
    "Submitted": record(request=WHOLE, buildset=WHOLE),
    "Done": {**MAP, "description": "what the master says of it"},
    "Grants": record(grants=list_of(_GRANT)),
    "ForceForms": record(forms=list_of(_FORM)),
    "Builders": page_of("builders", "Builder"),
    "Builds": page_of("builds", "Build"),
    "KeptBuild": record(builder=TEXT, number=WHOLE, reason=TEXT),
    "KeptBuilds": page_of("kept", "KeptBuild"),
    "Logs": record(logs=list_of(ref("Log"))),
    "Artifacts": record(artifacts=list_of(ref("Artifact"))),
    "Requests": page_of("requests", "Request"),
    "Slaves": page_of("slaves", "Slave"),
    "Schedulers": record(schedulers=list_of(ref("Scheduler")), away_since=_AWAY),
    "Changes": page_of("changes", "Change"),
    "Reporters": record(unsent=list_of(ref("Unsent"))),
    "Targets": record(targets=list_of(ref("Target"))),
    "Jobs": page_of("jobs", "Job"),
}
"""By the name that definitions use."""
