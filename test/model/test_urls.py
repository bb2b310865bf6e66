"""
URLs with passwords.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.time_limit import call_within
from buildbot_lite.model.urls import (
    SplitUrl,
    split_url,
    without_passwords,
)


class UrlsTests(SynchronousTestCase):
    def test_split(self) -> None:
        """
        split_url removes and decodes the password of a URL; with HTTP, also the user.
        """
        for url, wanted in (
            ("https://me:p%40ss@example.org:8443/x", SplitUrl("https://example.org:8443/x", ("me", "p@ss"))),
            ("http://:token@example.org/x", SplitUrl("http://example.org/x", ("", "token"))),
            ("https://me:@example.org/x", SplitUrl("https://example.org/x", ("me", ""))),
            ("ssh://git:pw@example.org/x", SplitUrl("ssh://git@example.org/x", None)),
            ("https://t%40ken@example.org/x", SplitUrl("https://example.org/x", None, "t@ken")),
            ("HTTP://token@[::1]:8080/x", SplitUrl("HTTP://[::1]:8080/x", None, "token")),
            ("https://@example.org/x", SplitUrl("https://example.org/x", None)),
            ("https://a@b@example.org/x", SplitUrl("https://example.org/x", None, "a@b")),
            ("ssh://git@example.org/x", SplitUrl("ssh://git@example.org/x", None)),
            ("git@example.org:a/b@c:d", SplitUrl("git@example.org:a/b@c:d", None)),
            ("https://example.org/a:b@c", SplitUrl("https://example.org/a:b@c", None)),
            ("/srv/a:b@c", SplitUrl("/srv/a:b@c", None)),
        ):
            self.assertEqual(split_url(url), wanted)

    def test_without_passwords(self) -> None:
        """
        In a text, each URL loses only its password.
        """
        said = "$ git clone 'https://me:se:cr@t@example.org/x' ssh://git@example.org:22/y https://:t@h/ https://h:8/a@b"
        self.assertEqual(
            without_passwords(said),
            "$ git clone 'https://me:*****@example.org/x' ssh://git@example.org:22/y https://:*****@h/ https://h:8/a@b",
        )

    def test_tokens(self) -> None:
        """
        In an HTTP URL, a user without a password may be a token and is removed; in other URLs it is a user name.
        """
        said = (
            "git fetch 'https://ghp_token@example.org/x' HTTP://t@h ssh://git@h/x git@h:x https://h/a@b https://me:p@h/"
            " https://token:@h/ https://a@b@h/"
        )
        self.assertEqual(
            without_passwords(said),
            "git fetch 'https://***@example.org/x' HTTP://***@h ssh://git@h/x git@h:x https://h/a@b https://me:*****@h/"
            " https://***@h/ https://***@h/",
        )

    def test_long_text(self) -> None:
        """
        A long text without an URL, as anybody may write it into a log, is searched in one go, and not from each of its
        characters, which would take hours; the URL after it is found.
        """
        for character in "y.+-1@:/ ":
            with self.subTest(character):
                text = character * (1 << 20)
                self.assertEqual(call_within(60.0, without_passwords, text), text)
        self.assertEqual(
            call_within(60.0, without_passwords, "y" * (1 << 20) + " http://u:p@h"),
            "y" * (1 << 20) + " http://u:*****@h",
        )

    def test_characters_before_a_scheme(self) -> None:
        """
        What cannot be a part of a scheme, but looks so, hides no password.
        """
        for text, shown in {
            "1http://u:p@h": "1http://u:*****@h",
            "-https://TOKEN@h": "-https://***@h",
            "see.http://TOKEN@h": "see.http://***@h",
        }.items():
            self.assertEqual(without_passwords(text), shown)
