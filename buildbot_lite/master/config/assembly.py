"""
How the dictionary that a master.cfg filled becomes a `MasterConfig`.

This module notes the mistakes that can be found only when all keys are known: a key that does not exist, two slaves
with the same name, a builder with a slave that does not exist.  The line of a mistake is that of the object, or else
that in which the key was set.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import frozen

from ...model.hello import MOST_HINTS
from ...model.machines import ARCH
from ...model.suggestions import did_you_mean
from .argument_fit import fitting_arguments
from .arguments import ArgumentChecker, as_list, shown
from .buildbot_table import Treatment
from .buildbot_words import find
from .executed_line import SourceLine, placed
from .keys import OWN_KEYS, AnyKey, Key, ListKey
from .lock_checks import check_locks
from .locks import declared_locks
from .master_config import MasterConfig, has_port
from .mistakes import missing_names, note, remark
from .objects import BuilderConfig, BuildSlave, listed
from .placeholders import holds_placeholder, is_placeholder
from .schedulers import BaseScheduler
from .submit_scheduler import Submit


def assemble(
    c: object, basedir: str, places: Mapping[str, SourceLine], keys: Mapping[str, AnyKey] = OWN_KEYS
) -> MasterConfig:
    """
    The configuration in the dictionary *c*.  If a mistake was noted, the configuration must not be used.

    *places*: the line in which each key was set, where it is known.  *keys*: the keys that *c* may have.
    """
    if not isinstance(c, Mapping):
        note("A master.cfg begins with: c = BuildmasterConfig = {}", SourceLine())
        c = {}
    # A view or an iterator is read once.
    reader = _Reader({key: as_list(value) for key, value in c.items()}, places, keys)
    reader.note_unknown()
    fields: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    for key in keys.values():
        if isinstance(key, ListKey):
            fields[key.field] = reader.by_name(key)
        elif key.field is not None:
            fields[key.field] = reader.value(key)
        else:
            extensions[key.name] = reader.value(key)
    contributed = [
        key.contributes(extensions[key.name])
        for key in keys.values()
        if isinstance(key, Key) and key.contributes is not None
    ]
    for each in contributed:
        _add("builder", fields["builders"], each.builders)
        _add("scheduler", fields["schedulers"], each.schedulers)
    config = MasterConfig(basedir=basedir, extensions=extensions, locks=declared_locks(), **fields)
    _choose_slaves(config.builders, config.slaves)
    _check_builders(config.builders, reader.names("slaves"))
    check_locks(config.builders, config.slaves, config.schedulers)
    builders = reader.names("builders")
    if builders is not None:
        builders.update(builder.name for each in contributed for builder in each.builders)
    _check_schedulers(config.schedulers, builders, config.slaves)
    hints = sum(1 if has_port(each) else len(config.ports) for each in config.location)
    if hints > MOST_HINTS:
        reader.note(
            "location",
            f"with {len(config.ports)} ports, these are more than the {MOST_HINTS} addresses that a string can have.",
        )
    return config


def _add(noun: str, objects: dict[str, Any], more: Iterable[BuilderConfig | BaseScheduler]) -> None:
    """
    Add *more*, which other objects stand for, to *objects* by name.
    """
    for each in more:
        if each.name in objects:
            note(
                f"There is a {noun} called {each.name!r} already, which is the name of one that this makes.",
                each.place or SourceLine(),
            )
        else:
            objects[each.name] = each


@frozen
class _Reader:
    c: Mapping[Any, Any]
    places: Mapping[str, SourceLine]
    keys: Mapping[str, AnyKey]

    def note(self, key: str, sentence: str) -> None:
        note(f"c[{key!r}]: {sentence}", self._place(key))

    def note_unknown(self) -> None:
        known_names = {name for key in self.keys.values() for name in (key.name, *key.aliases)}
        for key, value in self.c.items():
            if key not in known_names:
                self._note_unknown(key, value, known_names)

    def _note_unknown(self, key: object, value: object, known: Collection[str]) -> None:
        if not isinstance(key, str):
            note(f"There is no c[{key!r:.60}].  Keys are text.", SourceLine())
        elif find("c", key) is None:
            note(f"There is no c[{key!r:.60}].{did_you_mean(key, known)}", self._place(key))
        elif not _needs_no_mistake(value):
            self._tell("c", key, self._place(key))
            if isinstance(value, Mapping):
                for name in value:
                    self._tell(f"c[{key!r}]", name, self._place(key))

    def _tell(self, where: str, name: object, place: SourceLine) -> None:
        word = find(where, str(name))
        if word is not None:
            tell = remark if word.treatment is Treatment.TAKEN else note
            tell(word.sentence, place)

    def value(self, key: Key) -> Any:
        values = {
            name: key.check(ArgumentChecker(f"c[{name!r}]", place=self._place(name)), value)
            for name, value in self._given(key).items()
            if not is_placeholder(value)
        }
        return self._one(values) if values else key.default

    def _given(self, key: AnyKey) -> dict[str, Any]:
        # Name in master.cfg → value, for the key and its aliases.
        return {name: self.c[name] for name in (key.name, *key.aliases) if self.c.get(name) is not None}

    def _one(self, values: Mapping[str, Any]) -> Any:
        first, *others = values
        for other in others:
            if values[other] != values[first]:
                self.note(other, f"c[{first!r}] means the same; keep one of them.")
        return values[first]

    def names(self, key: str) -> set[str] | None:
        """
        The names of the objects in ``c[key]``, also of objects with a mistake, so that a reference to one of these is
        not a second mistake.  None if not all names are known, because a word is missing or an object has no name.
        """
        listed = next(iter(self._given(self.keys[key]).values()), ())
        if is_placeholder(listed):
            return None
        if not isinstance(listed, (list, tuple, set, frozenset)):
            listed = [listed]
        names = {_given_name(each) for each in listed if not is_placeholder(each)}
        return None if "" in names else names

    def by_name(self, key: ListKey) -> dict[str, Any]:
        objects: dict[str, Any] = {}
        items = self._given(key)
        listed = self._one(items) if items else ()
        name = next(iter(items), key.name)
        place = self._place(name)
        if is_placeholder(listed):
            listed = ()
        if key.alone and isinstance(listed, key.kind):
            listed = (listed,)
        if isinstance(listed, (set, frozenset)):
            listed = sorted(listed, key=lambda each: str(getattr(each, "name", each)))
        if not isinstance(listed, (list, tuple)):
            note(f"c[{name!r}] must be a list, not {shown(listed)}.", place)
            listed = ()
        for each in self._objects(key, listed, place):
            if is_placeholder(each):
                continue
            if not isinstance(each, key.kind):
                note(f"c[{name!r}] has {shown(each)} in it, which is not a {key.noun}.", place)
            elif each.name in objects:
                first = objects[each.name].place
                first_place = f"; the first is at {first}" if first else ""
                sentence = f"There are two {key.name} called {each.name!r}{first_place}.  {key.if_twice}".rstrip()
                note(sentence, each.place or SourceLine())
            elif each.name:
                objects[each.name] = each
        return objects

    def _objects(self, key: ListKey, listed: Iterable[Any], place: SourceLine) -> Iterable[Any]:
        for each in listed:
            yield self._builder(each, place) if key.kind is BuilderConfig and isinstance(each, Mapping) else each

    def _builder(self, dictionary: Mapping[Any, Any], place: SourceLine) -> BuilderConfig:
        # In old configurations, a builder is a dictionary: of several, all have the line of c['builders'].
        given = {str(name): value for name, value in dictionary.items()}
        what = f"The builder {given['name']!r:.100}" if "name" in given else "A builder without a name"
        with placed(place):
            _, fitting = fitting_arguments(BuilderConfig.__init__, what, (), given, cls=BuilderConfig)
            return BuilderConfig(**fitting)

    def _place(self, key: str) -> SourceLine:
        return self.places.get(key, SourceLine())


def _needs_no_mistake(value: object) -> bool:
    """
    Whether nothing must be noted for the key of *value*: it is empty, or the words in it were noted already.
    """
    return value is None or value in ([], (), {}, "") or (not isinstance(value, Mapping) and holds_placeholder(value))


def _given_name(value: object) -> str:
    name = value.get("name", "") if isinstance(value, Mapping) else getattr(value, "given_name", "")
    return str(name)


def _choose_slaves(builders: Mapping[str, BuilderConfig], slaves: Mapping[str, BuildSlave]) -> None:
    """
    Set the slaves of each builder with ``requires``: those of its slaves, or of all slaves, that have the properties.
    """
    for builder in builders.values():
        if builder.requires:
            named = builder.slavenames
            candidates = [each for each in slaves.values() if not named or each.name in named]
            fitting = [
                each.name
                for each in candidates
                if all(_has(each, *requirement) for requirement in builder.requires.items())
            ]
            unknown = [name for name in named if name not in slaves]
            builder.slavenames = (*fitting, *unknown)
            if not builder.slavenames:
                note(
                    f"The builder {builder.name!r} requires {builder.requires!r:.100}, and no slave "
                    "has these properties: BuildSlave(properties={…}).",
                    builder.place or SourceLine(),
                )


def _has(slave: BuildSlave, name: str, wanted: Any) -> bool:
    if name not in slave.properties:
        # Its machine says so when it attaches.
        return name == ARCH
    return any(each in listed(wanted) for each in listed(slave.properties[name]))


def _check_builders(builders: Mapping[str, BuilderConfig], slaves: Collection[str] | None) -> None:
    directories: dict[str, str] = {}
    for builder in builders.values():
        place = builder.place or SourceLine()
        _note_unknown(f"The builder {builder.name!r}", "slave", builder.slavenames, slaves, place)
        if builder.own_directory is not None:
            continue  # as in Buildbot, builders may share a directory if they name it
        other = directories.setdefault(builder.directory.lower(), builder.name)
        if other != builder.name:
            note(
                f"The builders {other!r} and {builder.name!r} would share the directory {builder.directory!r} "
                "on their slaves; rename one of them.",
                place,
            )


def _check_schedulers(
    schedulers: Mapping[str, BaseScheduler], builders: Collection[str] | None, slaves: Collection[str]
) -> None:
    for scheduler in schedulers.values():
        # A copy: a function of the configuration must not change the list after this check.
        scheduler.builderNames = list(scheduler.builderNames)
        place = scheduler.place or SourceLine()
        _note_unknown(f"The scheduler {scheduler.name!r}", "builder", scheduler.builder_names, builders, place)
        if isinstance(scheduler, Submit) and scheduler.name in slaves:
            note(
                f"A slave and a Submit scheduler are both called {scheduler.name!r}; each has its string in "
                f"furls/{scheduler.name}.furl, so rename one of them.",
                place,
            )


def _note_unknown(
    owner: str, noun: str, names: Iterable[str], known: Collection[str] | None, place: SourceLine
) -> None:
    for name in names:
        if known is not None and name not in known and name not in missing_names():
            note(f"{owner} names the {noun} {name!r}, which does not exist.{did_you_mean(name, known)}", place)
