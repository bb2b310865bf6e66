"""
The public repositories of targets, as the pages serve them.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from buildbot_lite.packages.keys.openpgp import armored_keys, fingerprints
from buildbot_lite.web import dispatcher
from buildbot_lite.web.farm import public_files, published_packages
from buildbot_lite.web.farm.master_watch import FarmChange
from buildbot_lite.web.farm.public_files import MOST_SEGMENTS, PublicFile, open_public
from buildbot_lite.web.farm.published_packages import PackageList, PublishedPackages
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.pages import packages, repositories
from buildbot_lite.web.replies import reading_rights
from buildbot_lite.web.replies.downloads import PIECE

from .pages_case import CONTROL, NOW, PagesCase, received

SNAPSHOT = "public-1-0123abcd"
RELEASE = "/repositories/t/dists/t/Release"
ALL_PACKAGES = [("Zoo", "1"), ("hello", "&lt;3&gt;"), ("hello", "1:2-1"), ("hello-doc", "2")]
"""As the page of the target lists them."""


def basic(credentials: str, *, scheme: str = "Basic") -> dict[str, str]:
    """
    The header with *credentials*, a name and a password.
    """
    return {"Authorization": f"{scheme} {base64.b64encode(credentials.encode()).decode()}"}


class RepositoriesTests(PagesCase):
    """
    The target t, with a public repository.
    """

    def setUp(self) -> None:
        super().setUp()
        self.place = Path(self.directory, "repos", "t").absolute()
        self.tree = self.place / "snapshots" / SNAPSHOT / "tree"
        self.file("dists/t/Release", b"Suite: t\n")
        (self.place / "public").symlink_to(f"snapshots/{SNAPSHOT}/tree")
        places = Places(self.directory, self.directory, {"t": str(self.place)})
        # The view is frozen, and its routes have it already.
        object.__setattr__(self.view, "places", lambda: places)

    def file(self, name: str, content: bytes) -> Path:
        """
        Make a file of the tree.
        """
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (NOW - 100, NOW - 100))
        return path

    def test_file(self) -> None:
        """
        Promise 9.6: a file comes as it is, with its kind, length, ETag and date; HEAD has no body; who has it gets 304.
        """
        page = self.get(RELEASE)
        self.assertEqual((page.status, page.body), (200, b"Suite: t\n"))
        self.assertEqual(page.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(page.headers["content-length"], "9")
        head = self.get(RELEASE, method="HEAD")
        self.assertEqual((head.status, head.body, head.headers["content-length"]), (200, b"", "9"))
        tag, date = page.headers["etag"], page.headers["last-modified"]
        self.assertEqual(self.get(RELEASE, {"If-None-Match": tag}).status, 304)
        self.assertEqual(self.get(RELEASE, {"If-Modified-Since": date}).status, 304)
        self.assertEqual(self.get(RELEASE, {"If-None-Match": '"x"', "If-Modified-Since": date}).status, 200)
        for bad in ("", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT"):
            self.assertEqual(self.get(RELEASE, {"If-Modified-Since": bad}).status, 200, bad)
        self.file("pool/x_1%3a2.0+b~c_all.deb", b"deb")
        page = self.get("/repositories/t/pool/x_1%253a2.0+b~c_all.deb")
        self.assertEqual((page.status, page.body), (200, b"deb"))
        self.assertEqual(page.headers["content-type"], "application/vnd.debian.binary-package")

    def test_ranges(self) -> None:
        """
        Promise 9.6: an interrupted download goes on where it ended, if it is still the same file.
        """
        page = self.get(RELEASE, {"Range": "bytes=7-"})
        self.assertEqual((page.status, page.body, page.headers["content-range"]), (206, b"t\n", "bytes 7-8/9"))
        date = page.headers["last-modified"]
        for same, status in ((page.headers["etag"], 206), (date, 206), ('"x"', 200), ("yesterday", 200)):
            self.assertEqual(self.get(RELEASE, {"Range": "bytes=7-", "If-Range": same}).status, status, same)
        self.assertEqual(self.get(RELEASE, {"Range": "bytes=9-"}).status, 416)
        os.utime(self.tree / "dists/t/Release", (NOW, NOW))
        date = self.get(RELEASE).headers["last-modified"]
        # In this second another one could have been made.
        self.assertEqual(self.get(RELEASE, {"Range": "bytes=7-", "If-Range": date}).status, 200)

    def test_outside(self) -> None:
        """
        Promise 9.6: no address leads out of the public snapshot: not by dots, encoded or not, by slashes in names, by
        symlinks in the tree, or by a symlink ``public`` that leads elsewhere; what is no file is not served.
        """
        (self.place / "secret").write_bytes(b"secret")
        self.file(".hidden", b"secret")
        (self.tree / "link").symlink_to("../../../secret")
        (self.tree / "up").symlink_to("../../..")
        (self.tree / "absolute").symlink_to("/etc/passwd")
        os.mkfifo(self.tree / "pipe")
        for path in (
            "../../../secret",
            "%2e%2e/%2e%2e/%2e%2e/secret",
            "..%2f..%2f..%2fsecret",
            "%252e%252e/secret",
            "dists/../../../../secret",
            f"{self.place}/secret",
            "%2fetc/passwd",
            "link",
            "up/secret",
            "absolute",
            "pipe",
            ".hidden",
            "dists//t/Release",
            "dists/t/Release/",
            "dists/t/Release%00",
            "dists/t/%ff",
            "x" * 300,
            "/".join(["dists"] * (MOST_SEGMENTS + 1)),
            "nothing",
        ):
            page = self.get(f"/repositories/t/{path}")
            self.assertNotIn(page.status, {200, 206}, path)
            self.assertNotIn(b"secret", page.body.replace(path.encode(), b""), path)
        for target in ("u", "..", "%2e%2e", "t%2f.."):
            self.assertNotEqual(self.get(f"/repositories/{target}/dists/t/Release").status, 200, target)
        for elsewhere in (
            "/",
            "..",
            "snapshots",
            f"snapshots/{SNAPSHOT}",
            "snapshots/../tree",
            "snapshots/build-1-0123abcd/tree",
        ):
            (self.place / "public").unlink()
            (self.place / "public").symlink_to(elsewhere)
            self.assertEqual(self.get(RELEASE).status, 404, elsewhere)
        (self.place / "public").unlink()
        self.assertEqual(self.get(RELEASE).status, 404)

    def test_list(self) -> None:
        """
        Promise 9.6: a directory is a page with links to what is in it, which lead there.
        """
        self.file("pool/<b>_1%3a2.0_all.deb", b"deb")
        (self.tree / "link").symlink_to("/etc/passwd")
        for address in ("/repositories/t", "/repositories/t/"):
            page = self.get(address)
            self.assertEqual(page.status, 200)
            self.assertIn("repositories/t/dists/", page.text)
            self.assertNotIn("passwd", page.text)
            self.assertNotIn("link<", page.text)
        page = self.get("/repositories/t/pool/")
        self.assertIn("repositories/t/pool/%3Cb%3E_1%253a2.0_all.deb", page.text)
        self.assertEqual(self.get("/repositories/t/pool/%3Cb%3E_1%253a2.0_all.deb").body, b"deb")
        with patch.object(public_files, "MOST_LISTED", 1):
            self.assertIn("There are more", self.get("/repositories/t/").text)

    def publish(self, name: str, versions: Mapping[str, str], source: str = "hello") -> None:
        """
        Publish the snapshot *name* with the packages *versions*, by file name, all of *source*.
        """
        record = {
            "packages": {each: [2048, "0" * 64] for each in versions},
            "versions": dict(versions),
            "sources": dict.fromkeys(versions, source),
        }
        snapshot = self.place / "snapshots" / name
        (snapshot / "tree").mkdir(parents=True, exist_ok=True)
        (snapshot / "snapshot.json").write_text(json.dumps(record))
        (self.place / "public").unlink()
        (self.place / "public").symlink_to(f"snapshots/{name}/tree")
        self.clock.advance(10)

    def test_packages(self) -> None:
        """
        Promise 9.10: a target's page lists the packages of its repository: each version, the one added last first, with
        links to the files of its architectures, their sizes, and the jobs of its source; those of the snapshot that is
        published at the moment, a part of them at a time, or those with a text in their names.
        """
        files = {"hello_1%3a2-1_amd64.deb": "1:2-1", "hello_1%3a2-1_i386.deb": "1:2-1", "hello-doc_2_all.deb": "2"}
        self.publish("public-2-00000000", {**files, "Zoo_1_all.deb": "1", "hello_3-1_amd64.deb": "<3>"})
        page = self.get("/packages/targets/t").text
        row = re.compile(r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td>')
        self.assertEqual(row.findall(page), ALL_PACKAGES)
        link = (
            '<a href="../../repositories/t/pool/hello_1%253a2-1_i386.deb">i386</a> <span class="quiet">2.0 KiB</span>'
        )
        self.assertIn(link, page)
        self.assertIn('<a href="../../packages?target=t&amp;name=hello">hello</a>', page)
        self.assertEqual(row.findall(self.get("/packages/targets/t?name=ZO").text), [("Zoo", "1")])
        self.assertIn("No package has a name like this", self.get("/packages/targets/t?name=none").text)
        self.patch(packages, "MOST_PACKAGES", 2)
        following, found = re.match("()", ""), list[tuple[str, str]]()
        while following is not None:
            self.clock.advance(10)
            page = self.get(f"/packages/targets/t?{following[1]}").text
            found += row.findall(page)
            following = re.search(r'targets/t\?([^"]*)" rel="next"', page)
        self.assertEqual(found, ALL_PACKAGES)
        self.publish("public-3-00000000", {"new_1_all.deb": "1"})
        self.assertEqual(row.findall(self.get("/packages/targets/t").text), [("new", "1")])

    def test_unreadable_packages(self) -> None:
        """
        A target's page lists source packages if the record of its snapshot is damaged, too long, or gone.
        """
        target: dict[str, Any] = {"target": "t", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}
        self.master.answers["package-targets"] = {"targets": [target]}
        for number, text in enumerate(("[]", "{", '{"packages": {"x": 1}}', '{"packages": []}', None), 2):
            self.publish(f"public-{number}-00000000", {"new_1_all.deb": "1"})
            record = self.place / "snapshots" / f"public-{number}-00000000" / "snapshot.json"
            record.write_text(text) if text is not None else record.unlink()
            page = self.get("/packages/targets/t")
            self.assertEqual((page.status, "Source packages" in page.text), (200, True), text)
        self.publish("public-9-00000000", {"new_1_all.deb": "1"})
        with patch.object(published_packages, "LARGEST_RECORD", 100):
            self.assertIn("Source packages", self.get("/packages/targets/t").text)

    def test_kept_packages(self) -> None:
        """
        Records are read one at a time, and each once while what is kept is not too much: also one that is damaged, but
        not one that cannot be read at the moment.
        """
        reads: list[Deferred[None]] = []

        def in_thread(function: Callable[[], PackageList | None]) -> Deferred[PackageList | None]:
            reads.append(Deferred())
            return reads[-1].addCallback(lambda _: function())

        def asked(name: str) -> Deferred[PackageList | None]:
            return Deferred.fromCoroutine(published.of(str(self.place.parent / name)))

        published, root = PublishedPackages(in_thread), self.place.parent
        for name in ("a", "b", "c", "damaged", "gone"):
            self.place = root / name
            self.place.mkdir()
            (self.place / "public").symlink_to("nowhere")
            self.publish(SNAPSHOT, {"new_1_all.deb": "1"})
        (root / "damaged" / "snapshots" / SNAPSHOT / "snapshot.json").write_text("{")
        (root / "gone" / "snapshots" / SNAPSHOT / "snapshot.json").unlink()
        waiting = [asked(name) for name in ("a", "b", "c", "damaged", "gone")]
        for number, each in enumerate(waiting, 1):
            self.assertEqual(len(reads), number)
            reads[-1].callback(None)
            self.assertEqual(self.successResultOf(each) is None, number > 3)
        for name in ("a", "b", "c", "damaged"):
            self.successResultOf(asked(name))
        self.assertEqual(len(reads), 5)
        self.assertNoResult(asked("gone"))
        self.assertEqual(len(reads), 6)

    def test_bytes_of_packages(self) -> None:
        """
        Of too many bytes of records, those that were not asked for for the longest are dropped.
        """
        read: list[str] = []

        def in_thread(function: Callable[[], PackageList | None]) -> Deferred[PackageList | None]:
            read.append("x")
            return succeed(function())

        published, root = PublishedPackages(in_thread), self.place.parent
        for name in ("a", "b", "c"):
            self.place = root / name
            self.place.mkdir()
            (self.place / "public").symlink_to("nowhere")
            self.publish(SNAPSHOT, {"new_1_all.deb": "1"})
        size = (self.place / "snapshots" / SNAPSHOT / "snapshot.json").stat().st_size
        self.patch(published_packages, "MOST_KEPT", 2 * size)
        counts = []
        for name in ("a", "b", "a", "c", "a", "b"):
            self.successResultOf(Deferred.fromCoroutine(published.of(str(root / name))))
            counts.append(len(read))
        self.assertEqual(counts, [1, 2, 2, 3, 3, 4])

    def test_private(self) -> None:
        """
        Promise 9.6: of a private farm, nobody gets a package without a string.
        """
        self.master.answers["www"] = {"private": True}
        page = self.get(RELEASE)
        self.assertEqual(page.status, 401)
        self.assertTrue(page.headers["www-authenticate"].startswith("Basic realm="))

    def test_password(self) -> None:
        """
        Promise 9.6: a program gets a private farm's packages with a string as the password of HTTP Basic, whatever the
        name; not with another password, not where others can read along, and nothing but files of repositories.
        """
        self.master.answers["www"] = {"private": True}
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": []}
        for name in ("farm", "", "käthe"):
            self.assertEqual(self.get(RELEASE, basic(f"{name}:{CONTROL}")).body, b"Suite: t\n")
        self.assertEqual(self.holders.checked, [CONTROL])
        self.assertEqual(self.get(RELEASE, basic(f"x:{CONTROL}", scheme="basic")).status, 200)
        other = CONTROL.replace("control-secret", "other-secret")
        for wrong in (f"x:{other}", CONTROL, "x:", "", f"{CONTROL}:x"):
            self.assertEqual(self.get(RELEASE, basic(wrong)).status, 403, wrong)
        for raw in ("Basic !!", "Basic", "Basic /w=="):
            self.assertEqual(self.get(RELEASE, {"Authorization": raw}).status, 403, raw)
        elsewhere = {**basic(f"x:{CONTROL}"), "X-Forwarded-For": "192.0.2.1"}
        self.assertEqual(self.get(RELEASE, elsewhere).status, 403)
        for path in ("/", "/packages", "/packages/targets/t", "/api/v1/builders"):
            page = self.get(path, basic(f"x:{CONTROL}"))
            self.assertEqual((page.status, "Basic" in page.headers.get("www-authenticate", "")), (401, False), path)
        self.news.tell(FarmChange(1, frozenset(), frozenset({7}), ""))
        del self.holders.grants[CONTROL]
        self.assertEqual(self.get(RELEASE, basic(f"x:{CONTROL}")).status, 403)

    def test_key(self) -> None:
        """
        Promise 9.7: the public key of a target is beside its repository, in armor and as a keyring, and its page has
        the fingerprint; a target without signatures has none.
        """
        body = b"\x04" + bytes(range(40))
        keyring = bytes([0x98, len(body)]) + body
        places = Places(self.directory, self.directory, {"t": str(self.place)}, {"t": armored_keys(keyring).decode()})
        object.__setattr__(self.view, "places", lambda: places)
        for name, content in (("key.gpg", keyring), ("key.asc", armored_keys(keyring))):
            page = self.get(f"/repositories/t/{name}")
            self.assertEqual((page.status, page.body), (200, content))
            self.assertEqual(page.headers["content-type"], "application/pgp-keys")
            self.assertEqual(self.get(f"/repositories/u/{name}").status, 404)
        self.file("dists/t/InRelease", b"signed")
        target: dict[str, Any] = {"target": "t", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}
        self.master.answers["package-targets"] = {"targets": [target]}
        self.clock.advance(10)
        text = self.get("/packages/targets/t").text
        self.assertIn(f"<code>{fingerprints(keyring)[0]}</code>", text)
        self.assertIn("Signed-By: /etc/apt/keyrings/t.gpg\n", text)
        self.assertNotIn("auth.conf", text)

    def test_hung_up(self) -> None:
        """
        Promise 10.7: the file of a client that hangs up before the answer begins is closed, and so is that of an answer
        that fails.
        """
        opened, closed, close = list[PublicFile](), list[PublicFile](), PublicFile.close

        def opening(directory: str, names: Sequence[str]) -> Any:
            opened.append(cast("PublicFile", open_public(directory, names)))
            return opened[-1]

        self.patch(repositories, "open_public", opening)

        def closing(file: PublicFile) -> None:
            closed.append(file)
            close(file)

        self.patch(PublicFile, "close", closing)
        checking = Deferred[None]()
        with patch.object(reading_rights, "check_reader", lambda view, asked: checking):
            self.send(f"GET {RELEASE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertEqual((len(opened), closed), (1, []))
            self.connections[-1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(closed, opened)
        with patch.object(dispatcher, "_head", side_effect=KeyError("a defect")):
            self.send(f"GET {RELEASE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.assertEqual((len(self.flushLoggedErrors(KeyError)), closed), (1, opened))
        with patch.object(repositories, "range_of", side_effect=KeyError("a defect")):
            self.assertEqual(self.get(RELEASE, {"Range": "bytes=7-"}).status, 500)
        self.assertEqual((len(self.flushLoggedErrors(KeyError)), len(closed), closed), (1, 3, opened))

    def test_became_private(self) -> None:
        """
        Promise 10.7: when the farm becomes private, whoever is being sent a package without a string is cut.
        """
        self.file("large.deb", b"x" * 100 * PIECE)
        request = b"GET /repositories/t/large.deb HTTP/1.1\r\nHost: localhost\r\n\r\n"
        transport = self.send(request)
        self.assertIn(b"200 OK", transport.value())
        self.master.answers["www"] = {"private": True}
        self.successResultOf(Deferred.fromCoroutine(self.live.answer("www", fresh=0.0)))
        self.assertTrue(transport.disconnected)
        self.connections[-1].connectionLost(Failure(ConnectionDone()))

    def test_slow(self) -> None:
        """
        Promise 9.6: no more of a file is read than the client takes.
        """
        size = 20 * PIECE
        self.file("large.deb", b"x" * size)
        read: list[int] = []
        whole = public_files.PublicFile.read

        def counting(file: Any, offset: int, wanted: int) -> bytes:
            read.append(wanted)
            return whole(file, offset, wanted)

        with patch.object(public_files.PublicFile, "read", counting):
            transport = self.send(b"GET /repositories/t/large.deb HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert isinstance(transport, StringTransport)
            producer: Any = transport.producer
            producer.pauseProducing()
            before = len(read)
            self.clock.pump([0] * 10)
            self.assertEqual(len(read), before)
            self.assertLess(len(read), 10)
            producer.resumeProducing()
            self.clock.pump([0] * 10)
        self.assertEqual(received(transport.value()).body, b"x" * size)

    def test_use(self) -> None:
        """
        Promise 9.6: a target's page has the lines with which apt and dnf use its repository, as it is signed or not.
        """
        target: dict[str, Any] = {"target": "t", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}
        self.master.answers["package-targets"] = {"targets": [target]}
        self.master.answers["www"] = {"private": False, "url": "https://farm.test/ci/"}
        page = self.get("/packages/targets/t").text
        source = "Types: deb\nURIs: https://farm.test/ci/repositories/t/\nSuites: t\nComponents: main\n"
        self.assertIn(f"{source}Trusted: yes\n", page)
        self.file("dists/t/InRelease", b"signed")
        self.clock.advance(10)
        page = self.get("/packages/targets/t").text
        self.assertIn(f"{source}Signed-By: /etc/apt/keyrings/t.asc\n", page)
        self.file("repodata/repomd.xml", b"<repomd/>")
        self.file("repodata/repomd.xml.asc", b"signed")
        self.master.answers["package-targets"] = {"targets": [{**target, "kind": "RpmTarget"}]}
        self.clock.advance(10)
        page = self.get("/packages/targets/t").text
        self.assertIn("baseurl=https://farm.test/ci/repositories/t/\ngpgcheck=1\nrepo_gpgcheck=1\n", page)
