"""
How two RPM packages of one name differ: the builds for several architectures must make the same noarch package.

The package files differ anyway, because their headers name the machine, the time and the options of the build.  So only
what is installed is compared: the payload, and the package's dependencies and scripts.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from .rpm_file import PAYLOAD_DIGEST, epoch_of, version_of
from .rpm_header import Header, damaged

PAYLOAD_DIGEST_UNCOMPRESSED = 5097
BASE_NAMES, DIRECTORY_NAMES, DIRECTORY_INDEXES, OLD_FILE_NAMES = 1117, 1118, 1116, 1027
_FILE_PARTS = {
    "contents": (1035,),
    "size": (1028, 5008),
    "mode": (1030,),
    "time": (1034,),
    "target of the link": (1036,),
    "owner": (1039,),
    "group": (1040,),
}
"""By property of a file that is compared: the tags for it, of which a package has one."""
_RELATIONS = {
    # tags of names, flags, versions
    "Requires": (1049, 1048, 1050),
    "Provides": (1047, 1112, 1113),
    "Conflicts": (1054, 1053, 1055),
    "Obsoletes": (1090, 1114, 1115),
    "Recommends": (5046, 5048, 5047),
    "Suggests": (5049, 5051, 5050),
    "Supplements": (5052, 5054, 5053),
    "Enhances": (5055, 5057, 5056),
}
_SCRIPTS = {"%pretrans": 1151, "%pre": 1023, "%post": 1024, "%preun": 1025, "%postun": 1026, "%posttrans": 1152}
_LESS, _GREATER, _EQUAL = 2, 4, 8
_COMPARISONS = {_LESS: "<", _GREATER: ">", _EQUAL: "=", _LESS | _EQUAL: "<=", _GREATER | _EQUAL: ">="}


def differences(first: Header, second: Header) -> list[str]:
    """
    What differs between two packages, sorted, each a few words like "/usr/bin/x (contents, size)"; empty when they are
    the same package.  `InputError` when one is damaged.
    """
    found = []
    versions = [":".join(filter(None, (epoch_of(each), version_of(each)))) for each in (first, second)]
    if versions[0] != versions[1]:
        found.append(f"version ({', '.join(versions)})")
    if not _same_payload(first, second):
        one, other = _files(first), _files(second)
        files = [_file_difference(path, one.get(path), other.get(path)) for path in {*one, *other}]
        found += sorted(filter(None, files)) or _unexplained(first, second)
    for word, tags in _RELATIONS.items():
        found += [f"{word}: {text}" for text in sorted(_relations(first, tags) ^ _relations(second, tags))]
    found += [word for word, tag in _SCRIPTS.items() if first.texts(tag) != second.texts(tag)]
    return found


def _same_payload(first: Header, second: Header) -> bool:
    tags = (PAYLOAD_DIGEST, PAYLOAD_DIGEST_UNCOMPRESSED)
    return any(first.texts(tag) and first.texts(tag) == second.texts(tag) for tag in tags)


def _unexplained(first: Header, second: Header) -> list[str]:
    # Packages of RPM before 4.14 have no digest of the payload; the digests of all files say the same.
    both = PAYLOAD_DIGEST in first and PAYLOAD_DIGEST in second
    return ["the order or the compression of the files"] if both else []


def _files(header: Header) -> Mapping[str, Mapping[str, object]]:
    names = header.texts(BASE_NAMES)
    if names:
        directories, indexes = header.texts(DIRECTORY_NAMES), header.numbers(DIRECTORY_INDEXES)
        if len(indexes) != len(names) or any(index >= len(directories) for index in indexes):
            raise damaged("its files have no directories")
        paths: Sequence[str] = [directories[index] + name for index, name in zip(indexes, names, strict=True)]
    else:
        paths = header.texts(OLD_FILE_NAMES)
    parts = {part: _values(header, tags) for part, tags in _FILE_PARTS.items()}
    if any(len(values) not in (0, len(paths)) for values in parts.values()):
        raise damaged("a part of its list of files is missing")
    return {path: {part: values[place] for part, values in parts.items() if values} for place, path in enumerate(paths)}


def _values(header: Header, tags: Iterable[int]) -> Sequence[object]:
    for tag in tags:
        if tag in header:
            return header.values(tag)
    return ()


def _file_difference(path: str, one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> str:
    if one is None or other is None:
        return f"{path} (only one has it)"
    parts = [part for part in _FILE_PARTS if one.get(part) != other.get(part)]
    return f"{path} ({', '.join(parts)})" if parts else ""


def _relations(header: Header, tags: tuple[int, int, int]) -> set[str]:
    names, flags, versions = header.texts(tags[0]), header.numbers(tags[1]), header.texts(tags[2])
    found = set()
    for name, flag, version in zip_longest(names, flags, versions, fillvalue=""):
        comparison = _COMPARISONS.get(flag & (_LESS | _GREATER | _EQUAL)) if isinstance(flag, int) else None
        # Dependencies on features of RPM itself depend on the version of RPM that made the package.
        if not str(name).startswith("rpmlib("):
            found.add(f"{name} {comparison} {version}" if comparison else str(name))
    return found
