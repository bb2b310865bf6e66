"""
Requests of all kinds for the pages and the API of a farm, in an order that is the same each time.
"""

import os
import random
from urllib.parse import urlencode

GZIP = {"Accept-Encoding": "gzip"}


class Mixed:
    """
    Requests of all kinds, among them expensive, wrong and hostile ones; *paths*: of the farm, by name.
    """

    def __init__(self, seed, paths):
        self._random = random.Random(seed)
        self._paths = paths
        self._kinds = [
            *[self._plain] * 30, *[self._anew] * 20, *[self._deep] * 15, *[self._build] * 15, *[self._log] * 15,
            *[self._filter] * 8, *[self._search] * 4, *[self._range] * 6, *[self._api] * 20, *[self._hostile] * 15,
            *[self._form] * 5, *[self._artifact] * 3,
        ]  # fmt: skip

    def next(self):
        """
        Return the next request: method, path, headers, body.
        """
        made = self._random.choice(self._kinds)()
        path, headers, method, body = (*made, *({}, "GET", None)[len(made) - 1 :])
        return method, path, {**(GZIP if self._random.random() < 0.8 else {}), **headers}, body

    def _number(self, most):
        return self._random.randrange(1, most)

    def _plain(self):
        return (self._random.choice(self._paths["pages"]),)

    def _anew(self):
        path = self._random.choice(self._paths["pages"])
        return (path if path.startswith("api/") else f"{path}{'&' if '?' in path else '?'}anew={self._number(10**9)}",)

    def _deep(self):
        before = self._number(self._paths["builds"])
        builder = self._random.choice(self._paths["builders"])
        lists = ["builds?", f"builders/{builder}?", f"builds?builder={builder}&", "changes?", "packages?"]
        where = self._random.choice(lists)
        return (f"{where}before={before}",)

    def _build(self):
        kind = self._random.choice(["builders/{}/{}", "api/v1/builds/{}/{}", "api/v1/builds/{}/{}/logs"])
        return (kind.format(self._random.choice(self._paths["builders"]), self._number(self._paths["newest"])),)

    def _log(self):
        log = self._random.choice(self._paths["logs"])
        length = self._paths["length"]
        what = self._random.choice(["", "?line={}", "?line={}-{}", "?before={}", "?after={}", "?after={}&anew={}"])
        return (log + what.format(*(self._number(length) for _ in range(2))),)

    def _search(self):
        text = self._random.choice(["warning", "unused variable", "nowhere in it", "é", "x" * 200])
        return (f"{self._random.choice(self._paths['logs'])}?{urlencode({'search': text, 'case': self._number(3)})}",)

    def _range(self):
        log = self._random.choice(self._paths["logs"])
        start = self._number(self._paths["length"])
        size = self._random.choice([1, 1000, 64 << 10, 2 << 20])
        return f"{log}/raw", {"Range": f"bytes={start}-{start + size - 1}"}

    def _filter(self):
        name, value = self._random.choice(["text", "tag", "slave", "result", "branch"]), self._text()
        return (f"{self._random.choice(['', 'builds', 'slaves', 'queue', 'waterfall'])}?{urlencode({name: value})}",)

    def _text(self):
        number = str(self._number(10**6))
        return self._random.choice(["linux", "oak", "FAILURE", "a" * 300, "<b>", "%00", "\u202e", "'; --", number])

    def _api(self):
        return (self._random.choice([
            "api/v1/openapi.json", "api/v1/farm", "api/v1/requests", "api/v1/schedulers", "api/v1/packages/jobs",
            f"api/v1/builds?limit={self._number(500)}", f"api/v1/builds?cursor={self._number(10**6)}",
            f"api/v1/changes/{self._number(1000)}", f"api/v1/slaves?limit={self._number(1000)}", "api/v1/queue",
            f"api/v1/requests/{self._number(1000)}", "metrics", "healthz", "readyz",
            "about", "feed.atom", "favicon.svg",
        ]),)  # fmt: skip

    def _hostile(self):
        return self._random.choice([
            ("a" * 8000,), (f"builders/{'b' * 7000}/1",), ("x/" * 3000,),
            (f"?{'&'.join(f'f{n}=1' for n in range(900))}",), (f"builds?branch={'%F0%9F%92%A9' * 500}",),
            ("builders/%2e%2e%2f%2e%2e%2fetc/1",), ("%ff%fe",), ("static/%2e%2e",),
            ("grants",), ("api/v1/grants",), ("api/v1/builds?nonsense=1",), ("builders/linux-x86_64/999999999999999",),
            ("", {"Cookie": f"session={self._number(10**12):x}{'c' * 3000}"}), ("", {"Cookie": f"a={'c' * 15000}"}),
            ("api/v1/farm", {"Authorization": f"Bearer pb://{'a' * 32}@127.0.0.1:1/{self._number(10**12):x}"}),
            ("", {"Host": "evil.example"}), ("", {"If-None-Match": '"' + "e" * 5000 + '"'}),
            ("", {f"X-{n}": "h" * 100 for n in range(90)}), ("", {}, "DELETE"), ("", {}, "PUT", b"p" * 60_000),
        ])  # fmt: skip

    def _form(self):
        body = os.urandom(self._random.choice([10, 1000, 60_000, 2_000_000]))
        forms = ["do/cancel", "enter", "builders/linux-x86_64/force", "api/v1/builds", "change_hook/github"]
        of_form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._random.choice(forms), of_form, "POST", body

    def _artifact(self):
        return (self._random.choice(self._paths["artifacts"]),)
