"""
URLs with passwords.
"""

from twisted.trial.unittest import SynchronousTestCase

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
