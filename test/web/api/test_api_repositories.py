"""
What was built for a target in the API, and how its repository is used.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from buildbot_lite.web.api.cursors import cursor_of_name
from buildbot_lite.web.farm.stored_farm import Places

from .api_case import BASE, ApiCase

TARGET: dict[str, Any] = {"target": "t", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}
RECORD = {
    "packages": {
        "hello_1%3a2-1_amd64.deb": [2048, "0" * 64],
        "hello_1-1_amd64.deb": [2048, "0" * 64],
        "hello-doc_2_all.deb": [100, "0" * 64],
    },
    "versions": {"hello_1%3a2-1_amd64.deb": "1:2-1", "hello_1-1_amd64.deb": "1-1", "hello-doc_2_all.deb": "2"},
    "sources": {"hello_1%3a2-1_amd64.deb": "hello"},
}


class RepositoryTests(ApiCase):
    """
    The target t, whose repository is public.
    """

    def setUp(self) -> None:
        super().setUp()
        place = Path(self.directory, "repos", "t").absolute()
        snapshot = place / "snapshots" / "public-2-00000000"
        self.tree = snapshot / "tree"
        self.file("dists/t/Release", b"Suite: t\n")
        (snapshot / "snapshot.json").write_text(json.dumps(RECORD))
        (place / "public").symlink_to("snapshots/public-2-00000000/tree")
        places = Places(str(self.farm / "streams"), str(self.farm / "artifacts"), {"t": str(place)})
        # The view is frozen, and its routes have it already.
        object.__setattr__(self.view, "places", lambda: places)
        self.master.answers["package-targets"] = {"targets": [TARGET]}
        self.master.answers["www"] = {"private": False, "url": "https://farm.test/ci/"}

    def file(self, name: str, content: bytes) -> None:
        """
        Make a file of the tree.
        """
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def test_use(self) -> None:
        """
        Promise 10.5: the commands that a target's page has to copy are those of its document.
        """
        found = self.call("/packages/targets/t")
        self.assertEqual((found["known"]["kind"], found["is_published"]), ("DebTarget", True))
        use = found["use"]
        self.assertEqual((use["tool"], use["is_signed"], use["is_private"]), ("apt", False, False))
        self.assertEqual(use["address"], "https://farm.test/ci/repositories/t/")
        self.assertTrue(use["commands"].endswith("END\nsudo apt update\nsudo apt install hello\n"), use["commands"])
        page = self.get("/packages/targets/t").text
        self.assertIn(use["commands"].replace("<", "&lt;").replace("'", "&#39;"), page)

    def test_packages(self) -> None:
        """
        Promise 10.5: the published packages in pages, with the addresses of their files; all versions of one package
        are on one page.
        """
        found = self.call("/packages/targets/t/packages?limit=1")
        versions = [(each["name"], each["version"], each["source"]) for each in found["packages"]]
        self.assertEqual(versions, [("hello", "1-1", None), ("hello", "1:2-1", "hello")])
        last = self.call(f"/packages/targets/t/packages?limit=1&cursor={found['next']}")
        self.assertEqual([each["name"] for each in last["packages"]], ["hello-doc"])
        self.assertIsNone(last["next"])

    def test_files(self) -> None:
        """
        Promise 10.5: the files of a repository that a page lists, directory by directory, in pages, with the addresses
        of their bytes.
        """
        hostile = "a_1%3a2 <b>.deb"
        self.file(f"pool/{hostile}", b"12345")
        self.file("pool/b.deb", b"1")
        top = self.call("/packages/targets/t/files")
        directories = [(each["name"], each["size"], each["raw"]) for each in top["files"]]
        self.assertEqual(
            (directories, top["next"], top["more"]), ([("dists", None, None), ("pool", None, None)], None, False)
        )
        for path in ("pool", "pool/"):
            first = self.call(f"/packages/targets/t/files?limit=1&path={path}")
            (file,) = first["files"]
            self.assertEqual((file["path"], file["size"], first["path"]), (f"pool/{hostile}", 5, "pool"))
            bytes_of_it = self.get(urljoin(f"{BASE}/packages/targets/t/files", file["raw"]))
            self.assertEqual(bytes_of_it.body, b"12345")
            last = self.call(f"/packages/targets/t/files?limit=1&path={path}&cursor={first['next']}")
            self.assertEqual(([each["name"] for each in last["files"]], last["next"]), (["b.deb"], None))
        self.assertEqual(self.call("/packages/targets/t/files?path=dists/t")["files"][0]["path"], "dists/t/Release")
        for query in ("path=dists/t/Release", "path=..", "path=pool//", "path=%00", "path=none"):
            self.assertIn("no such file", self.call(f"/packages/targets/t/files?{query}", 404)["detail"], query)
        self.assertIn("No target", self.call("/packages/targets/none/files", 404)["detail"])

    def test_others(self) -> None:
        """
        A target without a repository has its source packages; one that nobody knows is not there.
        """
        self.master.answers["package-targets"] = {"targets": [TARGET, {**TARGET, "target": "u"}]}
        self.clock.advance(90)
        found = self.call("/packages/targets/u")
        self.assertEqual((found["is_published"], found["use"]), (False, None))
        self.assertEqual(self.call("/packages/targets/u/packages")["packages"], [])
        nowhere = f"/packages/targets/none/packages?cursor={cursor_of_name('package', 'hello')}"
        for address in ("/packages/targets/none", "/packages/targets/none/packages", nowhere):
            self.assertIn("no target", self.call(address, 404)["detail"])
        self.call("/packages/targets/t/packages?cursor=eA", 400)

    def test_of_records(self) -> None:
        """
        Where nothing is published, the newest finished job of each source package is listed, in pages.
        """
        finished = [each for each in self.call("/packages/jobs?state=finished")["jobs"] if not each["scratch"]]
        target = finished[0]["target"]
        newest: dict[str, int] = {}
        for each in finished:
            if each["target"] == target:
                newest.setdefault(each["name"], each["job"])
        end = cursor_of_name("package", "zzzz")
        self.assertEqual(self.call(f"/packages/targets/{target}/packages?cursor={end}")["packages"], [])
        address = f"/packages/targets/{target}/packages?limit=1"
        page = self.call(address)
        found = list(page["packages"])
        while page["next"] is not None:
            page = self.call(f"{address}&cursor={page['next']}")
            found += page["packages"]
        self.assertEqual({each["name"]: each["job"] for each in found}, newest)
        self.assertEqual([each["name"] for each in found], sorted(newest))

    def test_addresses(self) -> None:
        """
        The address of a file leads to its bytes.
        """
        self.file("pool/hello_1%3a2-1_amd64.deb", b"deb")
        found = self.call("/packages/targets/t/packages?name=LO")["packages"]
        (file,) = next(each["files"] for each in found if each["version"] == "1:2-1")
        self.assertEqual(file["path"], "pool/hello_1%3a2-1_amd64.deb")
        self.assertTrue(file["raw"].startswith("../" * BASE.count("/") + "../../../repositories/"))
        address = file["raw"].removeprefix("../../../../..")
        self.assertEqual(self.get(address).body, b"deb")
