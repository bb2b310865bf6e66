"""
The messages of the wire: they arrive as equal values, and forbidden values are refused with a sentence.
"""

import json
from typing import Any, TypeVar

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    MessageError,
    NameNotAllowedError,
    UnsafePathError,
)
from buildbot_lite.model import spec
from buildbot_lite.model.display import printable
from buildbot_lite.model.hello import (
    HeldCommand,
    Hello,
    Life,
    Welcome,
)
from buildbot_lite.model.json_reader import JsonReader, encode
from buildbot_lite.model.names import (
    checked_name,
    directory_name,
    relative_path,
)
from buildbot_lite.model.outcome import (
    LARGEST_OUTCOME,
    Ending,
    Outcome,
    Remark,
    Seal,
    Why,
)
from buildbot_lite.model.results import Result, worst

T = TypeVar("T")

texts = st.text(max_size=20)
lines = texts.map(printable)
tokens = st.text(st.sampled_from("abcdef0123456789"), min_size=1, max_size=32)
sizes = st.integers(0, 1 << 50)
times = st.floats(0, 1e12)
paths = (
    st.lists(st.text("abc._-", min_size=1, max_size=5), min_size=1, max_size=4)
    .filter(lambda parts: ".." not in parts)
    .map("/".join)
    .map(relative_path)
)


def optional(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """
    *strategy*, or None.
    """
    return st.none() | strategy


runs = st.builds(
    spec.Run,
    argv=st.lists(texts, max_size=4).map(tuple),
    script=optional(texts),
    workdir=paths,
    env=st.dictionaries(texts, optional(texts), max_size=3),
    stdin=optional(texts),
    stdin_input=optional(texts),
    timeout=optional(times),
    max_time=optional(times),
    interrupt_signal=st.sampled_from(["TERM", "INT"]),
    sigterm_time=times,
    logfiles=st.dictionaries(texts, texts, max_size=3),
    cap=optional(sizes),
    pty=st.booleans(),
    separate_stderr=st.booleans(),
    files=st.dictionaries(texts, texts, max_size=3),
    grace=optional(times),
    leave_running=st.booleans(),
)
specs: st.SearchStrategy[spec.Spec] = st.one_of(
    runs,
    st.builds(spec.Upload, paths, optional(sizes)),
    st.builds(spec.UploadDirectory, paths, optional(sizes)),
    st.builds(spec.Download, paths, texts, sizes, tokens, st.integers(0, 0o777), st.booleans()),
    st.builds(spec.MakeDirectory, paths),
    st.builds(spec.RemoveDirectory, paths),
)
outcomes = st.builds(
    Outcome,
    ending=st.sampled_from(Ending),
    exit_code=optional(st.integers(-255, 1 << 32)),
    signal=optional(lines),
    why=optional(st.sampled_from(Why)),
    sentence=lines,
    streams=st.dictionaries(texts, st.builds(Seal, sizes, tokens), max_size=3),
    started=times,
    elapsed=times,
    usage=st.fixed_dictionaries({}, optional={"user": times, "system": times, "peak": times}),
    remarks=st.lists(st.builds(Remark, lines, sizes, times, lines), max_size=3).map(tuple),
)
hellos = st.builds(
    Hello,
    home=tokens,
    incarnation=tokens,
    keeper=tokens,
    boot=tokens,
    version=tokens,
    protocol=st.integers(0, 99),
    space=sizes,
    platform=st.dictionaries(lines, lines, max_size=3),
    held=st.lists(
        st.builds(HeldCommand, tokens, tokens, st.sampled_from(Life), st.dictionaries(texts, sizes, max_size=3)),
        max_size=3,
    ).map(tuple),
)


class SpecTests(SynchronousTestCase):
    @given(specs, st.dictionaries(texts, texts, max_size=3))
    def test_encoded_and_decoded(self, asked: spec.Spec, secrets: dict[str, str]) -> None:
        """
        A spec and its secrets are equal after encoding and decoding.
        """
        self.assertEqual(spec.from_bytes(spec.to_bytes(asked, secrets)), (asked, secrets))

    @given(specs, specs)
    def test_fingerprint(self, one: spec.Spec, other: spec.Spec) -> None:
        """
        Two specs have the same fingerprint exactly if their documents are equal.
        """
        same = spec.to_document(one) == spec.to_document(other)
        self.assertEqual(spec.fingerprint(one) == spec.fingerprint(other), same)
        self.assertEqual(len(spec.fingerprint(one)), 64)

    def test_fingerprint_without_secrets(self) -> None:
        """
        A secret enters the fingerprint by its name only (invariant I7).
        """
        run = spec.Run(argv=("login", spec.secret_reference("key")))
        data = spec.to_bytes(run, {"key": "hunter2hunter2"})
        self.assertEqual(spec.fingerprint(spec.from_bytes(data)[0]), spec.fingerprint(run))
        self.assertNotIn("hunter2", json.dumps(spec.to_document(run)))

    def test_reference(self) -> None:
        """
        The pattern finds a reference to a secret in any text.
        """
        self.assertEqual(spec.SECRET_REFERENCE.findall(f"a{spec.secret_reference('key')}b"), ["key"])

    def test_refused(self) -> None:
        """
        A spec with an unknown kind, an unsafe path or a value of the wrong type is refused.
        """
        for document, error in (
            ({"kind": "dance"}, MessageError),
            ({}, MessageError),
            ([], MessageError),
            ({"kind": "mkdir", "path": "../x"}, UnsafePathError),
            ({"kind": "rmdir", "path": "/"}, UnsafePathError),
            ({"kind": "upload", "path": 3}, MessageError),
            ({"kind": "run", "workdir": "a/../../b"}, UnsafePathError),
            ({"kind": "run", "argv": "ls"}, MessageError),
            ({"kind": "run", "argv": [3]}, MessageError),
            ({"kind": "run", "env": {"A": 3}}, MessageError),
            ({"kind": "run", "logfiles": {"a": None}}, MessageError),
            ({"kind": "run", "timeout": "soon"}, MessageError),
            ({"kind": "run", "cap": -1}, MessageError),
            ({"kind": "run", "pty": 1}, MessageError),
            ({"kind": "download", "path": "a", "name": "a", "size": 1, "sha256": "a", "mode": 0o4755}, MessageError),
        ):
            with self.assertRaises(error, msg=str(document)):
                spec.from_document(document)

    def test_too_large(self) -> None:
        """
        A spec is at most 4 MiB long.
        """
        data = spec.to_bytes(spec.Run(script="x" * (spec.LARGEST_SPEC + 1)), {})
        self.assertRaisesRegex(MessageError, "at most", spec.from_bytes, data)


class OutcomeTests(SynchronousTestCase):
    @given(outcomes)
    def test_encoded_and_decoded(self, outcome: Outcome) -> None:
        """
        An outcome is equal after encoding and decoding.
        """
        self.assertEqual(Outcome.from_bytes(outcome.to_bytes()), outcome)

    def test_succeeded(self) -> None:
        """
        A command succeeded only if it exited by itself with code 0.
        """
        good = Outcome(Ending.EXITED, exit_code=0)
        self.assertTrue(good.succeeded)
        self.assertFalse(good.but(exit_code=1).succeeded)
        self.assertFalse(good.but(ending=Ending.KILLED, why=Why.TIMEOUT).succeeded)
        self.assertEqual(Outcome.lost("gone"), Outcome(Ending.LOST, sentence="gone"))

    def test_newer_peer(self) -> None:
        """
        Unknown fields are ignored, so that a newer peer may send them.
        """
        document = {**json.loads(Outcome(Ending.EXITED, exit_code=3).to_bytes()), "mood": "fine", "usage": {"disk": 1}}
        self.assertEqual(Outcome.from_document(document), Outcome(Ending.EXITED, exit_code=3))

    def test_refused(self) -> None:
        """
        Unknown endings, and values of the wrong type or size, are refused.
        """
        good = json.loads(Outcome(Ending.EXITED, exit_code=0).to_bytes())
        changes: list[dict[str, Any]] = [
            {"ending": "vanished"},
            {"ending": None},
            {"why": "boredom"},
            {"exit_code": -300},
            {"exit_code": True},
            {"sentence": "x" * 2001},
            {"streams": {"stdio": 3}},
            {"streams": {"stdio": {"length": -1, "sha256": ""}}},
            {"remarks": [3]},
            {"remarks": [{}]},
            {"elapsed": float("inf")},
        ]
        for change in changes:
            with self.assertRaises(MessageError, msg=str(change)):
                Outcome.from_document({**good, **change})
        self.assertRaises(MessageError, Outcome.from_bytes, b" " * (LARGEST_OUTCOME + 1))
        self.assertRaises(MessageError, Outcome.from_bytes, b"\xff")


class HelloTests(SynchronousTestCase):
    @given(hellos)
    def test_hello(self, hello: Hello) -> None:
        """
        A hello is equal after encoding and decoding.
        """
        self.assertEqual(Hello.from_bytes(hello.to_bytes()), hello)

    @given(tokens, st.lists(texts, max_size=3))
    def test_welcome(self, name: str, hints: list[str]) -> None:
        """
        A welcome is equal after encoding and decoding.
        """
        for directories in (None, (), tuple(hints)):
            welcome = Welcome(name, "1.0", hints=tuple(hints), minspace=len(hints), directories=directories)
            welcome = evolve(welcome, building=directories)
            self.assertEqual(Welcome.from_bytes(welcome.to_bytes()), welcome)

    def test_refused(self) -> None:
        """
        A hello with too many or wrong values is refused.
        """
        hello = Hello("h", "i", "k", "b", "1.0")
        held = HeldCommand("id", "f", Life.RUNNING)
        for wrong in (
            evolve(hello, held=(held,) * 1001),
            evolve(hello, home="h" * 65),
            evolve(hello, platform={"os": "x" * 201}),
            evolve(hello, space=-1),
            evolve(hello, removed=("b",) * 21),
            evolve(hello, held=(evolve(held, lengths={"stdio": -1}),)),
        ):
            self.assertRaises(MessageError, Hello.from_bytes, wrong.to_bytes())
        document = json.loads(evolve(hello, held=(held,)).to_bytes())
        document["held"][0]["life"] = "asleep"
        self.assertRaisesRegex(MessageError, "asleep", Hello.from_bytes, encode(document))
        self.assertRaises(MessageError, Welcome.from_bytes, encode({"name": "a", "version": "1", "hints": []}))

    @given(st.text(max_size=40))
    def test_printable(self, text: str) -> None:
        """
        Promise 3.13: the texts of a hello can be recorded, and contain no control characters.
        """
        hostile = Hello("h", "i", "k", "b", text, platform={text: text})
        outcome = Outcome(Ending.FAILED, sentence=f"{text}\n", remarks=(Remark("stdio", 0, 0.0, text),))

        hello = Hello.from_bytes(hostile.to_bytes())
        heard = Outcome.from_bytes(outcome.to_bytes())

        for said in (hello.version, *hello.platform, *hello.platform.values()):
            self.assertTrue(said.isprintable())
            self.assertEqual(len(said.encode("utf-8", "strict").decode()), len(text))
        for said in (heard.sentence, heard.remarks[0].text):
            self.assertTrue(said.replace("\n", "").isprintable())
        self.assertTrue(heard.sentence.endswith("\n"))


class JsonReaderTests(SynchronousTestCase):
    def test_canonical(self) -> None:
        """
        Equal documents have equal bytes, whatever their order.
        """
        self.assertEqual(encode({"b": 1, "a": "é"}), b'{"a":"\\u00e9","b":1}')

    @given(st.binary(max_size=60))
    def test_any_bytes(self, data: bytes) -> None:
        """
        Any bytes are decoded to an object, or raise a MessageError.
        """
        try:
            self.assertIsInstance(JsonReader.decode(data, "it", 100).document, dict)
        except MessageError as error:
            self.assertTrue(str(error).startswith("It "))

    def test_nested_too_deep(self) -> None:
        """
        JSON that is nested too deep for Python is refused like other invalid JSON.
        """
        self.assertRaisesRegex(MessageError, "not JSON", JsonReader.decode, b"[" * 100_000, "it", 1 << 20)

    def test_fields(self) -> None:
        """
        Each reader of a field returns its value or the default, or refuses the field by name.
        """
        reader = JsonReader({"t": "abc", "i": 3, "n": 1.5, "f": True, "l": ["a"], "m": {"a": 1}, "z": None}, "it")
        self.assertEqual(
            (reader.text("t"), reader.integer("i"), reader.number("n"), reader.flag("f")), ("abc", 3, 1.5, True)
        )
        self.assertEqual(
            (reader.texts("l"), reader.mapping("m"), reader.has("z"), reader.has("t")), (["a"], {"a": 1}, False, True)
        )
        self.assertEqual(
            (reader.text("z", "d"), reader.optional("z", reader.text), reader.objects("z", id)), ("d", None, [])
        )
        wrong: list[tuple[Any, dict[str, Any]]] = [
            (reader.text, {"name": "absent"}),
            (reader.text, {"name": "t", "limit": 2}),
            (reader.text, {"name": "i"}),
            (reader.integer, {"name": "f"}),
            (reader.integer, {"name": "i", "most": 2}),
            (reader.integer, {"name": "n"}),
            (reader.number, {"name": "f"}),
            (reader.number, {"name": "t"}),
            (reader.flag, {"name": "i"}),
            (reader.texts, {"name": "l", "most": 0}),
            (reader.mapping, {"name": "m", "most": 0}),
            (reader.mapping, {"name": "l"}),
            (reader.objects, {"name": "l", "read": id, "most": 0}),
            (reader.objects, {"name": "l", "read": id}),
        ]
        sentence = r"^(The field \w+ of|An entry of l in) it (is|has) .*\.$"
        for take, arguments in wrong:
            with self.assertRaisesRegex(MessageError, sentence, msg=str(arguments)):
                take(**arguments)

    def test_too_long(self) -> None:
        """
        Of a text that is too long, the sentence says how long it is and may be.
        """
        reader = JsonReader({"branch": "x" * 30}, "the change")
        with self.assertRaises(MessageError) as caught:
            reader.text("branch", limit=20)
        self.assertEqual(str(caught.exception), "The field branch of the change has 30 characters; give at most 20.")

    def test_nan_and_infinity(self) -> None:
        """
        NaN and infinity, which Python's reader accepts, are refused.
        """
        for word in (b"NaN", b"Infinity", b"-Infinity"):
            reader = JsonReader.decode(b'{"n":' + word + b"}", "it", 100)
            self.assertRaises(MessageError, reader.number, "n")


class NamesTests(SynchronousTestCase):
    @given(st.text(max_size=90))
    def test_name_or_sentence(self, name: str) -> None:
        """
        A permitted name is its own directory's name; any other is refused.
        """
        try:
            self.assertEqual(directory_name(checked_name(name)), name)
        except NameNotAllowedError:
            self.assertFalse(name.isascii() and name.isalnum() and len(name) <= 80)

    @given(st.text())
    def test_directory(self, name: str) -> None:
        """
        The directory of any name is one plain path component.
        """
        directory = directory_name(name)
        self.assertTrue(0 < len(directory) <= 80)
        self.assertNotIn("/", directory)
        self.assertNotIn(directory, (".", ".."))
        self.assertEqual(relative_path(directory), directory)

    @given(st.text("ab./\0", max_size=12))
    def test_paths_stay_inside(self, path: str) -> None:
        """
        A permitted path stays inside its directory, and is normalised.
        """
        try:
            short = relative_path(path)
        except UnsafePathError:
            return
        self.assertFalse(short.startswith("/"))
        self.assertNotIn("..", short.split("/"))
        self.assertEqual(relative_path(short), short)

    def test_paths_that_no_file_can_have(self) -> None:
        """
        Promise 14: a lone surrogate, which JSON can contain, is refused; surrogate escapes of bytes that are not UTF-8
        are kept.
        """
        self.assertRaises(UnsafePathError, relative_path, "a/\ud800")
        self.assertEqual(relative_path("a/\udcff"), "a/\udcff")

    def test_paths_refused(self) -> None:
        """
        Absolute paths, paths with "..", paths with NUL and overlong paths are refused.
        """
        for path in ("/etc", "..", "../a", "a/../..", "a\0b", "a" * 1025, "//a"):
            self.assertRaises(UnsafePathError, relative_path, path)

    def test_names_refused(self) -> None:
        """
        Names that could be options, hidden files, paths or several lines are refused.
        """
        for name in ("", ".a", "-a", "a/b", "a b", "a\n", "é", "a" * 81):
            self.assertRaises(NameNotAllowedError, checked_name, name)


class ResultTests(SynchronousTestCase):
    @given(st.lists(st.sampled_from(Result)))
    def test_worst(self, results: list[Result]) -> None:
        """
        The worst of several results does not depend on their order, and ignores skipped ones.
        """
        self.assertEqual(worst(results), worst(reversed(results)))
        self.assertIn(worst(results), [*results, Result.SUCCESS])
        self.assertNotEqual(worst(results), Result.SKIPPED)
        self.assertGreaterEqual(worst([*results, Result.CANCELLED]), worst(results))

    def test_exit_codes(self) -> None:
        """
        Promise 4: the exit code is 0 for success and warnings, 1 for failure, 2 for exception, 4 for cancelled or for
        used up retries.
        """
        self.assertEqual(
            {result.name: result.exit_code for result in Result},
            {"SUCCESS": 0, "WARNINGS": 0, "SKIPPED": 0, "FAILURE": 1, "EXCEPTION": 2, "RETRY": 4, "CANCELLED": 4},
        )


class AddedFieldsTests(SynchronousTestCase):
    def test_fingerprints(self) -> None:
        """
        Fields that 0.1.0 did not have do not change a fingerprint while they have their defaults, so that older slaves
        and records match.
        """
        self.assertEqual(spec.to_document(spec.RemoveDirectory("a")), {"kind": "rmdir", "path": "a"})
        self.assertEqual(
            spec.to_document(spec.UploadDirectory("a")), {"kind": "upload-directory", "path": "a", "largest": None}
        )
        for each in (
            spec.RemoveDirectory("a"),
            spec.RemoveDirectory("a", None),
            spec.UploadDirectory("a", 5, 7.0),
            spec.Download("a", "input", 1, "0" * 64, unpack=True, largest=1, members=2, max_time=None),
        ):
            self.assertEqual(spec.from_document(spec.to_document(each)), each)

    def test_negative(self) -> None:
        """
        A negative time is refused.
        """
        self.assertRaises(MessageError, spec.from_document, {"kind": "rmdir", "path": "a", "max_time": -1})
