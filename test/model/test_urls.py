"""
Addresses with passwords.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.urls import Parted, parted, without_passwords


class UrlsTests(SynchronousTestCase):
    def test_parted(self) -> None:
        """
        The password is taken out of an address, and decoded; with http the user, too.
        """
        for url, wanted in (
            ("https://me:p%40ss@example.org:8443/x", Parted("https://example.org:8443/x", ("me", "p@ss"))),
            ("http://:token@example.org/x", Parted("http://example.org/x", ("", "token"))),
            ("https://me:@example.org/x", Parted("https://example.org/x", ("me", ""))),
            ("ssh://git:pw@example.org/x", Parted("ssh://git@example.org/x", None)),
            ("https://me@example.org/x", Parted("https://me@example.org/x", None)),
            ("git@example.org:a/b@c:d", Parted("git@example.org:a/b@c:d", None)),
            ("https://example.org/a:b@c", Parted("https://example.org/a:b@c", None)),
            ("/srv/a:b@c", Parted("/srv/a:b@c", None)),
        ):
            self.assertEqual(parted(url), wanted)

    def test_without_passwords(self) -> None:
        """
        In a text, each address keeps everything but its password.
        """
        said = "$ git clone 'https://me:se:cr@t@example.org/x' ssh://git@example.org:22/y https://:t@h/ https://h:8/a@b"
        self.assertEqual(
            without_passwords(said),
            "$ git clone 'https://me:*****@example.org/x' ssh://git@example.org:22/y https://:*****@h/ https://h:8/a@b",
        )
