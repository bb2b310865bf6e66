"""
The check that others cannot read a farm's files.
"""

import os

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LoosePermissionsError
from buildbot_lite.storage.permissions import check_farm


class PermissionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A master's directory with the right permissions.
        """
        self.basedir = os.path.join(self.mktemp(), "a [farm]")
        self.database = os.path.join(self.basedir, "records", "farm.sqlite")
        self.files = (
            *("private/tub.pem", "private/admin.furl", "private/strings.kept", "private/generations/00"),
            *("furls/bot1.furl", "buildslave.furls", "submit.furls", "records/farm.sqlite", "records/farm.sqlite-wal"),
        )
        for name in self.files:
            path = os.path.join(self.basedir, name)
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            os.chmod(os.path.dirname(path), 0o700)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        with open(os.path.join(self.basedir, "master.cfg"), "w", encoding="utf-8"):
            os.chmod(os.path.join(self.basedir, "master.cfg"), 0o644)

    def test_correct(self) -> None:
        """
        Correct permissions raise no error; those of master.cfg are not checked.
        """
        check_farm(self.basedir, self.database)

    def test_loose(self) -> None:
        """
        Promise 6.18: each file and directory with FURLs, keys or records is refused when others may read or write it;
        the error has the command that corrects it.
        """
        for name in (*self.files, "private", "private/generations", "furls", "records"):
            path = os.path.join(self.basedir, name)
            before = os.stat(path).st_mode
            for bits in (0o040, 0o004, 0o020):
                os.chmod(path, before | bits)
                error = self.assertRaises(LoosePermissionsError, check_farm, self.basedir, self.database)
                self.assertTrue(str(error).startswith(f"Other users of this machine may read {path}, "), error)
                self.assertTrue(str(error).endswith(f"Run: chmod go= '{path}'"), error)
            os.chmod(path, before)

    def test_web(self) -> None:
        """
        Promise 6.18: the strings of the web process are checked, too; a directory of that name that is none's is not,
        nor a link that leads nowhere.
        """
        private = os.path.join(self.basedir, "web", "private")
        os.makedirs(private)
        os.chmod(private, 0o755)
        check_farm(self.basedir, self.database)
        with open(os.path.join(self.basedir, "web", "web.tac"), "w", encoding="utf-8"):
            self.assertRaises(LoosePermissionsError, check_farm, self.basedir, self.database)
        os.chmod(private, 0o700)
        os.symlink("nowhere", os.path.join(private, "watch.furl"))
        check_farm(self.basedir, self.database)

    def test_several(self) -> None:
        """
        The command in the error names all files, so that one run is enough.
        """
        for name in ("private/admin.furl", "furls/bot1.furl"):
            os.chmod(os.path.join(self.basedir, name), 0o644)
        error = self.assertRaises(LoosePermissionsError, check_farm, self.basedir, self.database)

        self.assertIn("admin.furl and 1 more, ", str(error))
        self.assertEqual(str(error).count("bot1.furl"), 1)

    def test_database_elsewhere(self) -> None:
        """
        Promise 6.18: a database in another place is checked too.
        """
        path = os.path.join(self.mktemp(), "farm.sqlite")
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8"):
            os.chmod(path, 0o640)
        self.assertRaises(LoosePermissionsError, check_farm, self.basedir, path)
