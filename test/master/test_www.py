"""
The key c['www'].
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.www import MOST_PROXIES, WebPages

from .configurations import configured, remarks_in, sentences_in


class WebPagesTests(SynchronousTestCase):
    def test_default(self) -> None:
        """
        Promise 10.1: without c['www'] there are public pages at a free port, and no webhooks.
        """
        self.assertEqual(configured("").www, WebPages(None, private=False))
        self.assertEqual(configured("c['www'] = {'port': None, 'trusted_proxies': None}").www, WebPages())

    def test_taken(self) -> None:
        """
        Promise 10.1: a port is a number, also as text, or an endpoint; proxies are addresses and networks.
        """
        for text, pages in {
            "'port': 8010": WebPages(8010),
            "'port': '8010', 'private': True": WebPages(8010, private=True),
            "'port': 'tcp6:80:interface=\\\\:\\\\:1'": WebPages("tcp6:80:interface=\\:\\:1"),
            "'trusted_proxies': ['127.0.0.1', 'fd00::/8', '10.1.0.0/16']": WebPages(
                trusted_proxies=("127.0.0.1/32", "fd00::/8", "10.1.0.0/16")
            ),
        }.items():
            with self.subTest(text):
                self.assertEqual(configured(f"c['www'] = {{{text}}}").www, pages)
                self.assertEqual(remarks_in(f"c['www'] = {{{text}}}"), [])

    def test_mistakes(self) -> None:
        """
        Promise 10.1: what cannot be used, and an entry that is none, is a mistake with a sentence.
        """
        for text, sentence in {
            "'port': 0": 'port must be a number from 1 to 65535 or an endpoint like "tcp:8010:interface=127.0.0.1"',
            "'port': True": "port must be a number",
            "'port': '99999999999999999999'": "port must be a number",
            "'port': 'ssl:443'": "port must be a number",
            "'private': 'yes'": "private must be True or False",
            "'prviate': True": "there is no entry 'prviate'.  Did you mean 'private'?",
            "7: True": "there is no entry '7'.",
            "'trusted_proxies': '127.0.0.1'": "trusted_proxies must be a list of texts; write ['127.0.0.1']",
            "'trusted_proxies': ['proxy.example.org']": "an IP address or a network",
            "'trusted_proxies': ['10.1.0.1/16']": "an IP address or a network",
            f"'trusted_proxies': ['10.0.0.1'] * {MOST_PROXIES + 1}": "name their networks",
        }.items():
            with self.subTest(text):
                found = sentences_in(f"c['www'] = {{{text}}}")
                self.assertEqual(len(found), 1, found)
                self.assertIn(sentence, found[0])
        self.assertIn("must be a dictionary", sentences_in("c['www'] = 8010")[0])

    def test_words_of_buildbot(self) -> None:
        """
        Promise 10.1: each other entry that Buildbot documents is taken, with a remark that says what happens instead.
        """
        for name, remedy in {
            "plugins": "the waterfall, the console and badges are among the pages",
            "auth": "everybody may read the pages unless c['www']['private'] is True",
            "authz": "a change needs a control string",
            "avatar_methods": "no pictures of people",
            "cookie_expiration_time": "grant control --web",
            "ui_default_config": "in its address",
            "default_page": "in its address",
            "theme": "dark or light",
            "custom_templates_dir": "the same for every farm",
            "versions": "the same for every farm",
            "allowed_origins": "cannot use the API",
            "rest_minimum_version": "/api/v1/",
            "json_cache_seconds": "ETag",
            "logfileName": "twistd.log",
            "logRotateLength": "twistd.log",
            "maxRotatedFiles": "twistd.log",
            "debug": "twistd.log",
            "ws_ping_interval": "keep their connection alive",
            "change_hook_auth": "proves its own secret",
        }.items():
            with self.subTest(name):
                (found,) = remarks_in(f"c['www'] = {{{name!r}: [], 'port': 8010}}")
                self.assertIn(remedy, found)
