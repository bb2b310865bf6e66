"""
Pages of builds with their origins.
"""

from functools import partial
from typing import Any
from unittest import mock

from sqlalchemy import Connection, delete

from buildbot_lite.model.results import Result
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import (
    builds,
    cells,
    durations,
    generations,
    grants,
    history,
    requests,
)
from buildbot_lite.storage.records.history import (
    Filter,
    Page,
    page,
)
from buildbot_lite.storage.swissnums import Swissnums
from buildbot_lite.web.api.endpoints_farm import _read_builds

from .farm_case import FarmCase


class HistoryTests(FarmCase):
    def record(
        self,
        builder: str = "hello",
        *,
        slave: str = "bot1",
        now: float = 20.0,
        result: Result | None = Result.SUCCESS,
        properties: dict[str, Any] | None = None,
        source: dict[str, Any] | None = None,
        by_grant: int | None = None,
    ) -> str:
        """
        Record a build.  Return its name as in lists.
        """
        own = {name: [value, "Test"] for name, value in (properties or {}).items()}

        def change(connection: Connection) -> str:
            generations.keep(connection, "g", now)
            asked = requests.submit(
                connection,
                scheduler="force",
                builders=[builder],
                reason="why not",
                now=now - 1,
                source=source,
                by_grant=by_grant,
            )
            row = builds.start(
                connection,
                request=asked.requests[0].id,
                builder=builder,
                slave=slave,
                nonce="00",
                generation="g",
                now=now,
                properties=own,
            )
            if result is not None:
                builds.finish(connection, row.id, result, now + 1)
            return f"{row.builder}/{row.number}"

        return self.do(change)

    def page(self, most: int = 20, before: int | None = None, **wanted: Any) -> Page:
        """
        The page of builds that match *wanted*.
        """
        return self.do(lambda connection: page(connection, Filter(**wanted), most, before))

    def labels(self, most: int = 20, **wanted: Any) -> list[str]:
        """
        The names of the builds on a page.
        """
        return [f"{each.build.builder}/{each.build.number}" for each in self.page(most, **wanted).entries]

    def test_filters(self) -> None:
        """
        Promise 6.14: filters are builder, slave, result, time, branch and properties; several filters must all match.
        """
        one = self.record(now=20.0, properties={"branch": "main", "deep": 'a"b'})
        two = self.record(now=30.0, slave="bot2", result=Result.FAILURE, source={"branch": "topic", "revision": "1f"})
        three = self.record("other", now=40.0, result=None, properties={"branch": "topic", "count": 3, "odd": "3"})

        self.assertEqual(self.labels(), [three, two, one])
        self.assertEqual(self.labels(builder="hello"), [two, one])
        self.assertEqual(self.labels(slave="bot2"), [two])
        self.assertEqual(self.labels(results=[Result.FAILURE]), [two])
        self.assertEqual(self.labels(results=[Result.SUCCESS, None]), [three, one])
        self.assertEqual(self.labels(since=30.0), [three, two])
        self.assertEqual(self.labels(branch="topic"), [three, two])
        self.assertEqual(self.labels(branch="topic", slave="bot1"), [three])
        self.assertEqual(self.labels(branch="nothing"), [])
        self.assertEqual(self.labels(properties={"deep": 'a"b'}), [one])
        self.assertEqual(self.labels(properties={"count": "3", "odd": "3"}), [three])
        self.assertEqual(self.labels(properties={"count": "3", "odd": "4"}), [])

    def test_kinds_of_properties(self) -> None:
        """
        Property values are compared as text; hostile names and values match only themselves.
        """
        values: dict[str, Any] = {"t": True, "f": False, "n": None, "i": 7, "x": 1.5, "s": "true", "w": "integer"}
        names = ["a'b", 'a"b', "$", "a.b", "[0]", "%", "\N{SNOWMAN}", "'); drop table builds; --"]
        recorded = self.record(properties={**values, **{name: name for name in names}})

        for name, text in {"t": "true", "f": "false", "n": "null", "i": "7", "x": "1.5", "s": "true"}.items():
            self.assertEqual(self.labels(properties={name: text}), [recorded], name)
        for name in ("t", "n", "i", "x"):
            self.assertEqual(self.labels(properties={name: "integer"}), [])
        self.assertEqual(self.labels(properties={"t": "1"}), [])
        for name in names:
            self.assertEqual(self.labels(properties={name: name}), [recorded], name)
            self.assertEqual(self.labels(properties={"s": name}), [])
            self.assertEqual(self.labels(branch=name, slave=name), [])

    def test_pages(self) -> None:
        """
        Promise 6.14: pages by a cursor, newest first, contain each build exactly once.
        """
        recorded = [self.record("a" if n % 3 else "b", slave=f"bot{n % 2}", now=20.0 + n) for n in range(25)]
        for wanted in ({}, {"builder": "a"}, {"slave": "bot1"}, {"builder": "b", "slave": "bot0"}, {"since": 31.0}):
            whole = self.labels(most=100, **wanted)
            for looked_at in (1, 4, 7, 1000):
                with mock.patch.object(history, "LOOKED_AT", looked_at):
                    found, before = [], None
                    for _ in range(60):
                        part = self.page(3, before, **wanted)
                        self.assertLessEqual(len(part.entries), 3)
                        found += [f"{each.build.builder}/{each.build.number}" for each in part.entries]
                        if (before := part.before) is None:
                            break
                    self.assertIsNone(before)
                    self.assertEqual(found, whole, (wanted, looked_at))
        self.assertEqual(self.labels(), recorded[:4:-1])

    def test_newest_of_each(self) -> None:
        """
        The newest builds of many builders are those that are found for each by itself, in one query.
        """
        names = [f"b{n}" for n in range(4)]
        for n in range(20):
            self.record(names[n * n % 4 if n < 9 else 2], now=20.0 + n)
        one_by_one = [self.do(partial(cells.newest, builder=name, most=3)) for name in names]
        self.assertEqual(list(self.do(lambda c: cells.newest_of_each(c, names, 3)).values()), one_by_one)
        self.assertEqual([len(found) for found in one_by_one], [3, 3, 3, 0])
        pages = [entry for name in names for entry in self.page(1, builder=name).entries]
        newest = self.do(lambda c: history.newest_of_each(c, names))
        self.assertEqual(sorted(newest, key=lambda entry: entry.build.builder), pages)

    def test_durations_of_each(self) -> None:
        """
        How long the builds of many builders took is read in one query, which examines the newest few of each: the
        latest good ones of these are those that are found for a builder by itself.
        """
        names = ["good", "some", "late", "never", "none"]
        for n in range(durations.LOOKED_AT_OF_EACH + 2):
            self.record("good", now=20.0 + n)
            self.record("some", now=20.0 + n, result=(Result.WARNINGS, Result.FAILURE, None)[n % 3])
            self.record("late", now=20.0 + n, result=Result.FAILURE if n > 1 else Result.SUCCESS)
            self.record("never", now=20.0 + n, result=Result.FAILURE)
        found = self.do(lambda c: durations.of_each(c, names, 5))
        one_by_one = {name: self.do(partial(durations.of_builder, builder=name, most=5)).builds for name in names}
        self.assertEqual(found, {name: one_by_one[name] for name in ("good", "some")})
        self.assertEqual([len(each) for each in one_by_one.values()], [5, 5, 2, 0, 0])

        def count(builders: list[str], connection: Connection) -> int:
            statements: list[str] = []
            driver: Any = connection.connection.driver_connection
            driver.set_trace_callback(statements.append)
            _read_builds(connection, builders)
            driver.set_trace_callback(None)
            return len(statements)

        self.assertEqual(self.do(partial(count, names)), self.do(partial(count, names[:1])))

    def test_bounded(self) -> None:
        """
        Promise 6.14: a page examines a bounded number of builds, however few match, and returns where it stopped.
        """
        for n in range(10):
            self.record(now=20.0 + n, slave="bot1" if n else "rare")
        with mock.patch.object(history, "LOOKED_AT", 4):
            first = self.page(slave="rare")
            self.assertEqual((list(first.entries), first.before), ([], 7))
            self.assertIsNone(self.page(slave="rare", since=26.0, before=7).before)
        self.assertEqual(self.labels(slave="rare"), ["hello/1"])

    def test_full(self) -> None:
        """
        Promise 6.14: without a filter a page is full, however many builds retention has removed between those that it
        shows.
        """
        for n in range(10):
            self.record(now=20.0 + n)
        gap = delete(schema.builds).where(schema.builds.c.number.between(3, 8))
        self.do(lambda connection: connection.execute(gap).rowcount)
        with mock.patch.object(history, "LOOKED_AT", 4):
            wanted: list[dict[str, Any]] = [{}, {"builder": "hello"}]
            for of in wanted:
                found = self.page(3, **of)
                self.assertEqual([each.build.number for each in found.entries], [10, 9, 2])
                last = self.page(3, found.before, **of)
                self.assertEqual(([each.build.number for each in last.entries], last.before), ([1], None))
            self.assertEqual(len(self.page(3, slave="bot1").entries), 2)

    def test_origin(self) -> None:
        """
        Promise 6.14: the origin of a build: the grant's label, the reason, the time and the sources.
        """
        minted = Swissnums(b"key").mint()
        grant = self.do(
            lambda c: grants.add(c, name="farm", verb="control", object="farm", minted=minted, now=1.0, label="alice")
        )
        self.record(by_grant=grant.id, source={"branch": "main", "revision": "1f"})
        self.record(properties={"got_revision": "2e", "revision": "3d"}, by_grant=99)
        self.record(properties={"got_revision": {"lib": "1", "app": "2"}})
        third, second, first = self.page().entries

        self.assertEqual((first.origin.by, first.origin.scheduler, first.origin.reason), ("alice", "force", "why not"))
        self.assertEqual((first.branch, first.revision, first.origin.at), ("main", "1f", 19.0))
        self.assertEqual((second.branch, second.revision, second.origin.by), (None, "2e", None))
        self.assertEqual((third.branch, third.revision), (None, None))

    def test_origin_of_a_session(self) -> None:
        """
        Who asked in a browser is known by name; from where and when the session began is not told to all who read.
        """
        for label, who in (
            ("web session of Ann (from 10.1.2.3, 2026-11-30 08:14:43, code of #13)", "Ann"),
            ("web session (from 10.1.2.3, 2026-11-30 08:14:43)", "somebody with a string"),
            ("Ann (laptop)", "Ann (laptop)"),
        ):
            minted = Swissnums(b"key").mint()
            grant = self.do(
                partial(grants.add, name="farm", verb="control", object="farm", minted=minted, now=1.0, label=label)
            )
            self.record(by_grant=grant.id)
            self.assertEqual(self.page().entries[0].origin.by, who)
