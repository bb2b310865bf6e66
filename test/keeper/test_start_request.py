"""
The keeper's start requests, which are checked before anything is spawned.
"""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper import start_request
from buildbot_lite.keeper.start_request import (
    StartRequest,
    StartRequestError,
    read_start_request,
)
from buildbot_lite.model import spec
from buildbot_lite.model.spec import (
    Run,
    secret_reference,
    to_document,
)


def ordered(run: Run, secrets: dict[str, str] | None = None, env: dict[str, str] | None = None) -> StartRequest:
    """
    Return *run* as the keeper parses it.
    """
    message = {"spec": to_document(run), "secrets": secrets or {}, "workdir": "/work", "env": env or {}}
    return read_start_request(json.loads(json.dumps(message)))


class StartRequestTests(SynchronousTestCase):
    def test_same_reference(self) -> None:
        """
        The keeper, which may not import the model, recognises secrets exactly as the model writes them.
        """
        self.assertEqual(start_request.SECRET_REFERENCE.pattern, spec.SECRET_REFERENCE.pattern)

    def test_secrets(self) -> None:
        """
        A secret's value is inserted in arguments, environment, files and input.
        """
        named = f"<{secret_reference('token')}>"
        found = ordered(
            Run(argv=("x", named), env={"T": named}, files={"F": named}, stdin=named), secrets={"token": "hush-hush"}
        )
        self.assertEqual(found.argv, [b"x", b"<hush-hush>"])
        self.assertEqual(found.env[b"T"], b"<hush-hush>")
        self.assertEqual(found.files, {"F": b"<hush-hush>"})
        self.assertEqual(found.stdin, b"<hush-hush>")
        self.assertEqual(ordered(Run(script=named), {"token": "hush-hush"}).argv[2], b"<hush-hush>")

    def test_environment(self) -> None:
        """
        The step's variables are added to the slave's; None removes one; ``${NAME}`` is the slave's value.
        """
        run = Run(argv=("x",), env={"PATH": "${HOME}/bin:${PATH}", "LANG": None, "NEW": "${NOWHERE}!"})
        found = ordered(run, env={"PATH": "/bin", "HOME": "/home/me", "LANG": "C"})
        self.assertEqual(
            found.env, {b"PATH": b"/home/me/bin:/bin", b"HOME": b"/home/me", b"NEW": b"!", b"PWD": b"/work"}
        )

    def test_literal_variable(self) -> None:
        """
        Promise 6.23: ``$${NAME}`` is the text ``${NAME}``; any other dollar sign is kept.
        """
        given = {"A": "$${HOME}", "B": "$$${HOME}", "C": "$5 $$ $HOME ${HOME", "D": "$${HOME}${HOME}"}
        found = ordered(Run(argv=("x",), env=given), env={"HOME": "/root"}).env
        self.assertEqual(
            [found[name] for name in (b"A", b"B", b"C", b"D")],
            [b"${HOME}", b"$${HOME}", b"$5 $$ $HOME ${HOME", b"${HOME}/root"],
        )

    def test_expansion_is_not_for_secrets(self) -> None:
        """
        ``${NAME}`` inside a secret's value is not expanded.
        """
        run = Run(argv=("x",), env={"T": secret_reference("token")})
        self.assertEqual(ordered(run, {"token": "${HOME}"}, {"HOME": "/root"}).env[b"T"], b"${HOME}")

    def test_undecodable(self) -> None:
        """
        Bytes that are not valid text are kept unchanged.
        """
        self.assertEqual(ordered(Run(argv=("x", b"\xff".decode("utf-8", "surrogateescape")))).argv[1], b"\xff")

    def test_refused(self) -> None:
        """
        A command that cannot be run is refused with a sentence that gives the reason.
        """
        reference = secret_reference("token")
        for words, run, secrets in (
            ("no command", Run(), {}),
            ("without its value", Run(argv=(reference,)), {}),
            ("fewer than 6", Run(argv=("x",)), {"token": "short"}),
            ("NUL", Run(argv=("a\0b",)), {}),
            ("no signal", Run(argv=("x",), interrupt_signal="NOSUCH"), {}),
            ("name of an environment variable", Run(argv=("x",), env={"A=B": "1"}), {}),
            ("leads out", Run(argv=("x",), logfiles={"log": "../x"}), {}),
            ("leads out", Run(argv=("x",), logfiles={"log": "/etc/passwd"}), {}),
            ("own output", Run(argv=("x",), logfiles={"stdio": "x"}), {}),
            ("number of seconds", Run(argv=("x",), timeout=-1.0), {}),
            ("invalid character", Run(argv=("\ud800",)), {}),
        ):
            error = self.assertRaises(StartRequestError, ordered, run, secrets)
            self.assertIn(words, str(error))

    def test_wrong_types(self) -> None:
        """
        A document that is not a spec is refused.
        """
        good: dict[str, Any] = {"spec": {"argv": ["x"]}, "workdir": "/work"}
        self.assertEqual(read_start_request(good).argv, [b"x"])
        wrongs: list[dict[str, Any]] = [
            {"spec": None},
            {"workdir": "relative"},
            {"workdir": 3},
            {"secrets": {"token": 3}},
            {"env": [1]},
            {"spec": {"argv": [3]}},
            {"spec": {"argv": "x"}},
            {"spec": {"argv": ["x"], "env": {"A": 3}}},
            {"spec": {"argv": ["x"], "env": 3}},
        ]
        for wrong in wrongs:
            self.assertRaises(StartRequestError, read_start_request, {**good, **wrong})
