"""
The key c['www'].
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.executed_line import MAIN_FILE
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.www import MOST_PROXIES, WebPages

from .configurations import HEAD, configured, remarks_in, sentences_in


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
            "'private': 1": WebPages(private=True),
            "'private': 0": WebPages(),
            "'trusted_proxies': ['127.0.0.1', 'fd00::/8', '10.1.0.0/16']": WebPages(
                trusted_proxies=("127.0.0.1/32", "fd00::/8", "10.1.0.0/16")
            ),
        }.items():
            with self.subTest(text):
                self.assertEqual(configured(f"c['www'] = {{{text}}}").www, pages)
                self.assertEqual(remarks_in(f"c['www'] = {{{text}}}"), [])

    def test_mistakes(self) -> None:
        """
        Promise 10.1: what cannot be used, and an entry that is one of ours misspelt, is a mistake with a sentence.
        """
        for text, sentence in {
            "'port': -1": 'port must be a number from 1 to 65535 or an endpoint like "tcp:8010:interface=127.0.0.1"',
            "'port': True": "port must be a number",
            "'port': '99999999999999999999'": "port must be a number",
            "'port': 'tcp:99999'": "port must be a number",
            "'private': 2": "private must be True or False",
            "'private': 'yes'": "private must be True or False",
            "'prviate': True": "there is no entry 'prviate'.  Did you mean 'private'?",
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

    def test_of_other_pages(self) -> None:
        """
        Promise 10.1: what a master.cfg may have for other pages is taken, and has no effect: a port of a kind that does
        not exist here, and an entry that nobody knows.
        """
        for text, sentence in {
            "'port': 0": "port 0 has no effect",
            "'port': 'ssl:443:privateKey=key.pem'": "The port= of web.tac is used, or the first free one from 8010 on.",
            "'port': 'unix:/run/bb.sock'": "has no effect: the pages are served by HTTP, at a TCP port",
            "'tracking_id': 'x'": "there is no entry 'tracking_id'.  It has no effect.",
            "7: True": "there is no entry '7'.  It has no effect.",
        }.items():
            with self.subTest(text):
                self.assertEqual(configured(f"c['www'] = {{{text}}}").www, WebPages())
                (found,) = remarks_in(f"c['www'] = {{{text}}}")
                self.assertIn(sentence, found)

    def test_stored(self) -> None:
        """
        Promise 10.1: an earlier configuration, which running builds need, is loaded whatever it has for the pages.
        """
        for value in ("8010", "{'port': -1, 'private': 'yes', 'trusted_proxies': 7}"):
            generation = load("/nowhere", files={MAIN_FILE: f"{HEAD}c['title'] = 'T'\nc['www'] = {value}\n"})
            self.assertEqual((generation.config.title, generation.config.www), ("T", WebPages()))

    def test_words_of_buildbot(self) -> None:
        """
        Promise 10.1: each other entry that Buildbot documents is taken, with a remark that says what happens instead.
        """
        for name, remedy in {
            "plugins": "waterfall, console (as Changes) and badges are among the pages",
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
            "jsonp": "cannot use the API",
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
