"""
Endpoints that change something.
"""

import json
from typing import Any

from buildbot_lite.web.api.problems import MOST_VALUES
from buildbot_lite.web.farm.master_watch import FarmChange

from ..pages_case import TUB
from .api_case import BASE, CONTROL, ApiCase
from .test_events import StreamClient

WATCH = f"pb://{TUB}@127.0.0.1:1/watch-secret"
ELSEWHERE = f"pb://{'b' * 32}@192.0.2.1:1/control-secret"


class ApiControlTests(ApiCase):
    """
    POST, with a string.
    """

    def setUp(self) -> None:
        super().setUp()
        self.holders.grants[WATCH] = {"grant": 8, "label": "you", "may": ["status"]}

    def do(self, address: str, fields: Any = None, furl: str | None = CONTROL, status: int = 200, **more: str) -> Any:
        """
        The document that answers a POST with the JSON *fields*.
        """
        body = b"" if fields is None else json.dumps(fields).encode()
        headers = {} if furl is None else {"Authorization": f"Bearer {furl}"}
        headers.update({name.replace("_", "-"): value for name, value in more.items()})
        answer = self.post_json(address, body, headers)
        self.assertEqual(answer.status, status, answer.body[:500])
        return self.checked(address, answer)

    def test_asked_of_the_master(self) -> None:
        """
        Each is asked of the master with the caller's own string.
        """
        fields = {"reason": "because", "properties": {"a": 1}}
        self.assertEqual(self.do("/builders/linux/force", fields), {"request": 5, "buildset": 6})
        self.do("/builds/linux/3/rebuild")
        self.do("/builds/linux/3/keep", {"because": "x"})
        self.do("/builds/linux/3/unkeep")
        self.do("/requests/12/cancel", {"reason": "why"})
        self.do("/slaves/bot1/pause")
        self.do("/slaves/bot1/unpause")
        self.do("/slaves/bot1/drain")
        build = {"builder": "linux", "number": 3}
        self.assertEqual(
            self.holders.asked,
            [
                (CONTROL, question)
                for question in (
                    {"ask": "force", "builder": "linux", **fields, "problems": True},
                    {"ask": "rebuild", **build},
                    {"ask": "keep", **build, "because": "x"},
                    {"ask": "unkeep", **build},
                    {"ask": "cancel", "request": 12, "reason": "why"},
                    {"ask": "pause", "slave": "bot1", "paused": True},
                    {"ask": "pause", "slave": "bot1", "paused": False},
                    {"ask": "drain", "slave": "bot1"},
                )
            ],
        )

    def test_wrong_values(self) -> None:
        """
        Promise 10.9: all values of a forced build that are wrong are said at once, each with its name.
        """
        told = {"n": "n must be a whole number.", "group.x": "group.x must be given."}
        self.holders.answers["force"] = {"problems": [{"name": name, "sentence": told[name]} for name in told]}
        refused = self.do("/builders/linux/force", {"properties": {"n": "x"}}, status=400)
        self.assertEqual(refused["problems"], [{"name": name, "problem": told[name]} for name in told])
        self.assertEqual(refused["detail"], "\n".join(told.values()))
        many = [{"name": f"p{number}", "sentence": "Wrong."} for number in range(MOST_VALUES + 1)]
        self.holders.answers["force"] = {"problems": many}
        self.assertEqual(len(self.do("/builders/linux/force", status=400)["problems"]), MOST_VALUES)

    def test_refused(self) -> None:
        """
        Nothing is asked of the master without a string, with one that only permits to look, with one of another farm,
        for a page of another site, or over plain HTTP from elsewhere; and nothing is changed by GET.
        """
        address = "/builds/linux/3/rebuild"
        self.do(address, furl=None, status=401)
        self.do(address, furl=WATCH, status=403)
        self.assertIn("another farm", self.do(address, furl=ELSEWHERE, status=403)["detail"])
        self.do(address, furl="nonsense", status=403)
        self.do(address, status=403, Origin="https://evil.example")
        self.do(address, status=403, X_Forwarded_For="192.0.2.7")
        self.assertEqual(self.get(BASE + address, {"Authorization": f"Bearer {CONTROL}"}).status, 405)
        self.assertEqual(self.holders.asked, [])

    def test_bodies(self) -> None:
        """
        A body that is none, or has other fields, is refused by name.
        """
        address = "/builders/linux/force"
        for fields, said in (
            ({"reasn": "x"}, "'reason'"),
            ({"reason": 3}, "reason is a text"),
            ({"reason": "x" * 2000}, "at most 1000"),
            ({"properties": []}, "properties is an object"),
            ({"builder": "other"}, "'builder'"),
            ([], "body"),
            ("x" * 70_000, "bytes"),
        ):
            self.assertIn(said, self.do(address, fields, status=400)["detail"], str(fields)[:80])
        self.do(address, {"reason": "x"}, status=400, Content_Type="text/plain")
        self.assertEqual(self.holders.asked, [])

    def test_forms(self) -> None:
        """
        Promise 10.9: the forms that force builds are shown to those whose string permits it.
        """
        found = self.call("/builders/a/forms", Authorization=f"Bearer {CONTROL}")
        self.assertEqual(found["forms"][0]["scheduler"], "force")
        self.call("/builders/a/forms", 403, Authorization=f"Bearer {WATCH}")
        self.call("/builders/a/forms", 401)

    def test_grants(self) -> None:
        """
        The grants are shown to those whose string permits it.
        """
        self.assertEqual(self.call("/grants", Authorization=f"Bearer {CONTROL}"), {"grants": [{"grant": 7}]})
        self.call("/grants", 403, Authorization=f"Bearer {WATCH}")
        self.call("/grants", 401)

    def test_revoked(self) -> None:
        """
        Promise 10.7: the stream of a string that is revoked is cut at once; those of others go on.
        """
        header = f"\r\nAuthorization: Bearer {WATCH}"
        mine, other = (StreamClient(self.factory, f"{BASE}/events", last) for last in (f"1{header}", "1"))
        nothing: frozenset[Any] = frozenset()
        self.news.tell(FarmChange(1, nothing, frozenset([3]), "g"))
        self.assertFalse(mine.transport.cut)
        self.news.tell(FarmChange(1, nothing, frozenset([8]), "g"))
        self.assertEqual((mine.transport.cut, other.transport.cut), (True, False))
