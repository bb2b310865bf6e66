"""
The web process beside its master: where it listens, what it can read, and that the master needs it for nothing; and
behind nginx.
"""

import http.client
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlencode, urljoin

from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.snapshots import PUBLIC
from buildbot_lite.web.serving.priority import NICE

from ..asking_again import got
from ..master.webhook_payloads import github_push
from ..needs import NO_BWRAP, lacking, needs
from ..packages.built_packages import Apt, deb
from ..ports import free_port
from .farm import PATIENCE, Daemon, Farm, until
from .farm_case import FarmCase
from .leaks import swissnums_of
from .nginx import end, start_nginx
from .web_process import post_of_github

CHECKOUT = Path(__file__).parents[2]
UNIT = CHECKOUT / "docs" / "systemd" / "buildbot-lite-web.service"
FARM_OF_UNIT = "/var/lib/buildbot-master"
SECRET = "open sesame of the forge"
STEP = "say 100% / now"
LOG = f"builders/b/1/steps/{quote(STEP.replace('%', '%25').replace('/', '%2F'))}/logs/stdio"


def binds_of_unit(farm: Path) -> dict[Path, bool]:
    """
    The parts of the *farm*'s directory that the unit shows to the web process; True for one that it may write.
    """
    text = UNIT.read_text().replace(FARM_OF_UNIT, str(farm))
    assert f"\nTemporaryFileSystem={farm}:ro\n" in text
    found: dict[Path, bool] = {}
    for name, value in re.findall(r"^(BindPaths|BindReadOnlyPaths)=(.*)$", text, re.MULTILINE):
        found.update((Path(each.removeprefix("-")), name == "BindPaths") for each in value.split())
    return found


def _nice_values(daemon: Daemon) -> set[int]:
    """
    The nice values of its threads.
    """
    threads = os.listdir(f"/proc/{daemon.pid}/task")
    return {os.getpriority(os.PRIO_PROCESS, int(each)) for each in threads}


class WebProcessCase(FarmCase):
    """
    A farm with a web process, and one build.
    """

    port: ClassVar[int]

    @classmethod
    def make(cls) -> Farm:
        """
        A farm whose c['www'] has a port.
        """
        cls.port = free_port()
        farm = Farm("bot1").builder("b", f"steps.ShellCommand(name={STEP!r}, command='echo hello')")
        farm.secret("hook", SECRET)
        www = {"port": cls.port, "trusted_proxies": ["127.0.0.1"]}
        return farm.config(
            "c['title'] = 'The tested farm'\n"
            "c['buildbotURL'] = 'http://farm.test/ci/'\n"
            "c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n"
            f"c['www'] = {{**{www!r}, 'change_hook_dialects': {{'github': {{'secret': util.Secret('hook')}}}}}}\n"
        )

    @classmethod
    def begin(cls) -> None:
        """
        Start the farm, build once, and make the web process.
        """
        farm = cls.farm
        made = farm.command("create-web", str(farm.master_directory / "web"))
        assert made.code != 0, "there is no master.cfg yet"
        farm.write_config()
        made = farm.command("create-web", str(farm.master_directory / "web"))
        assert made.code == 0, made
        farm.start()
        assert farm.submit("b").code == 0

    def start_web(self, *before: str) -> Daemon:
        """
        Start the web process, by the command *before*, and wait until it listens where the master says.
        """
        directory = self.farm.master_directory / "web"
        web = Daemon("web", directory, self.farm.env, "web.tac", "listening at", before=before)
        web.start()
        self.addCleanup(lambda: web.alive and web.stop())
        until(lambda: (directory / "address").read_text() == f"http://127.0.0.1:{self.port}/\n", "it is at its port")
        return web

    def get(self, path: str, port: int | None = None, host: str = "localhost", cookie: str = "") -> tuple[int, str]:
        """
        Status and text of the page at *path*.
        """
        answer = got(port or self.port, f"/{path}", Host=host, Cookie=cookie)
        return answer.status, answer.text


class BesideTests(WebProcessCase):
    """
    The web process in its master's directory.
    """

    def test_port(self) -> None:
        """
        Promise 10.1: without any setting of its own the web process gets its strings from its master, moves to the port
        of c['www'] and shows the farm; while the master is away it starts at that port, and goes on showing the farm.
        """
        web = self.start_web()
        self.assertIn("The tested farm", self.get("")[1])
        web.stop()
        self.farm.master.stop()
        self.addCleanup(self.farm.start_master)
        web = self.start_web()
        status, text = self.get("builders/b/1")
        self.assertEqual((status, "The tested farm" in text), (200, True))

    def test_first_start(self) -> None:
        """
        Promise 10.1: `start` of a web process that was never told a port names the one that its master tells.
        """
        web = self.farm.master_directory / "web"
        for name in ("www.json", "address"):
            (web / name).unlink(missing_ok=True)
        # A busy machine may take longer than `start` waits for people.
        imports = "from buildbot_lite.cli import main; from buildbot_lite.cli.directories import starting"
        patient = f"{imports}; starting.TOLD_WITHIN = {PATIENCE}; main()"
        started = self.farm.client("python", "-c", patient, "start", str(web)).wait()
        self.addCleanup(self.farm.command, "stop", str(web))
        self.assertIn(f"was started, at http://127.0.0.1:{self.port}/\n", started.out.decode(), started.err)

    def test_session(self) -> None:
        """
        Promise 10.7: a code of `grant control --web` becomes a session, once; `revoke` ends it at once, also for a
        browser that goes on with its cookie.
        """
        self.start_web()
        directory = str(self.farm.master_directory)
        said = self.farm.command("grant", "control", "--web", "--label", "Ann", directory)
        address, _, code = said.out.decode().strip().partition("?code=")
        self.assertEqual((said.code, address), (0, "http://farm.test/ci/enter"), said)
        status, cookie = self.enter(code)
        self.assertEqual(status, 303)
        self.assertEqual(self.enter(code), (403, ""))
        page = self.get("", cookie=cookie)[1]
        self.assertIn('leave"', page)
        listed = json.loads(self.farm.command("grants", directory, "--json").out)
        (session,) = [
            each for each in listed if (each["label"] or "").startswith("web session of Ann (from 127.0.0.1, ")
        ]
        self.assertEqual(self.farm.command("revoke", directory, f"#{session['grant']}").code, 0)
        until(lambda: self.is_signed_out(cookie), "the session has ended")
        self.assertNotIn(code, self.farm.master.log)

    def test_sessions_end(self) -> None:
        """
        Promise 10.7: sessions end with the web process: when it is stopped, and after a kill when it begins anew.
        """
        directory = str(self.farm.master_directory)

        def sessions() -> list[str]:
            listed = json.loads(self.farm.command("grants", directory, "--json").out)
            return [each["label"] for each in listed if (each["label"] or "").startswith("web session")]

        def enter() -> None:
            said = self.farm.command("grant", "control", "--web", directory)
            self.assertEqual(self.enter(said.out.decode().strip().partition("?code=")[2])[0], 303)

        web = self.start_web()
        enter()
        self.assertEqual(len(sessions()), 1)
        web.stop()
        self.assertEqual(sessions(), [])
        web = self.start_web()
        enter()
        web.kill()
        self.assertEqual(len(sessions()), 1)
        self.start_web()
        until(lambda: not sessions(), "the former session has ended")

    def test_strings_replaced(self) -> None:
        """
        Promise 10.7: after `rotate "web pages"` a session goes on; after `revoke` of the string of the pages it is
        over, also its string, and who signs in reads why that is not possible.
        """
        web = self.start_web()
        directory = str(self.farm.master_directory)

        def code() -> str:
            said = self.farm.command("grant", "control", "--web", directory)
            return said.out.decode().strip().partition("?code=")[2]

        def strings(label: str) -> list[int]:
            listed = json.loads(self.farm.command("grants", directory, "--json").out)
            return [each["grant"] for each in listed if (each["label"] or "").startswith(label)]

        cookie = self.enter(code())[1]
        self.assertEqual(self.farm.command("rotate", directory, "web pages").code, 0)
        until(lambda: self.get("readyz")[0] == 200, "the pages have their new string")
        self.assertIn('leave"', self.get("", cookie=cookie)[1])
        self.assertEqual(len(strings("web session")), 1)
        for each in strings("web pages"):
            self.assertEqual(self.farm.command("revoke", directory, f"#{each}").code, 0)
        self.assertEqual(strings("web session"), [])
        until(lambda: self.is_signed_out(cookie), "the session is over")
        self.assertEqual(self.enter(code())[0], 503)
        web.stop()
        self.assertEqual(self.farm.command("rotate", directory, "web pages").code, 0)
        self.start_web()
        until(lambda: self.enter(code())[0] == 303, "the pages have another string")

    def test_metrics(self) -> None:
        """
        Promise 10.6: /metrics shows what only the master can measure.
        """
        self.start_web()
        until(lambda: "buildbot_lite_master_record_batches_total" in self.get("metrics")[1], "the master tells it")
        text = self.get("metrics")[1]
        for name in ("record_batch_duration_seconds_count", "received_bytes_total", "links", "slave_attaches_total"):
            found = re.search(rf"^buildbot_lite_master_{name} (\S+)$", text, re.MULTILINE)
            self.assertTrue(found is not None and float(found[1]) > 0, name)

    def is_signed_out(self, cookie: str) -> bool:
        """
        Whether the first page is shown, and as to a stranger.
        """
        status, page = self.get("", cookie=cookie)
        return status == 200 and 'leave"' not in page

    def enter(self, code: str) -> tuple[int, str]:
        """
        Exchange *code* as a browser on this machine does; returns the status and the cookie.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": "localhost", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/enter", f"code={code}", headers)
        response = connection.getresponse()
        cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
        response.read()
        connection.close()
        return response.status, cookie

    def test_stopped(self) -> None:
        """
        Promise 10.1: a web process that does not move at all (SIGSTOP) holds no build up.
        """
        web = self.start_web()
        web.send(signal.SIGSTOP)
        try:
            done = self.farm.submit("b")
        finally:
            web.send(signal.SIGCONT)
        self.assertEqual((done.code, done.out), (0, b"hello\n"))

    def test_priority(self) -> None:
        """
        Promise 10.10: all threads of the web process have a lower priority than those of the master; it interrupts
        nobody.
        """
        web = self.start_web()
        self.assertEqual(self.get("")[0], 200)  # all its threads have begun
        own = os.getpriority(os.PRIO_PROCESS, 0)
        self.assertEqual(_nice_values(web), {max(NICE, own)})
        self.assertEqual(_nice_values(self.farm.master), {own})
        self.assertEqual(os.sched_getscheduler(web.pid), os.SCHED_BATCH)

    def test_readable(self) -> None:
        """
        Promise 10.1: nothing that the web process can read, as its unit shows the farm to it, contains a string of the
        farm, except for its own two.
        """
        web = self.start_web()
        self.get("")
        web.stop()
        farm = self.farm.master_directory
        own = farm / "web" / "private"
        strings = {number: swissnum.encode() for number, swissnum in swissnums_of(farm).items()}
        found: dict[str, set[int]] = {}
        for path in self._visible(farm):
            content = path.read_bytes()
            inside = {number for number, swissnum in strings.items() if swissnum in content}
            if inside:
                found[str(path.relative_to(farm))] = inside
        self.assertGreater(len(strings), 4)
        self.assertEqual(set(found), {"web/private/watch.furl", "web/private/webhooks.furl"})
        self.assertEqual([len(each) for each in found.values()], [1, 1])
        self.assertIn(farm / "records" / "farm.sqlite", set(self._visible(farm)))
        self.assertTrue(own.is_dir())

    def _visible(self, farm: Path) -> Iterator[Path]:
        for shown in binds_of_unit(farm):
            for above, _, names in os.walk(shown) if shown.is_dir() else [(str(shown.parent), [], [shown.name])]:
                yield from (path for name in names if (path := Path(above, name)).exists())


@needs("apt-ftparchive", "apt-get", "dpkg-deb")
class RepositoryTests(WebProcessCase):
    """
    The target d, with a public repository.
    """

    @classmethod
    def setUpClass(cls) -> None:
        """
        Nothing where a program is missing.
        """
        if not getattr(cls, "skip", ""):
            super().setUpClass()

    @classmethod
    def make(cls) -> Farm:
        return (
            super()
            .make()
            .config(
                "from buildbot_lite.packages import DebTarget, Plain\n"
                "c['targets'] = [DebTarget('d', arches=['amd64', 'all'], root=Plain(), repository='repos/d')]\n"
            )
        )

    def test_apt(self) -> None:
        """
        Promise 9.6: apt gets packages from the web process, which learns from its master where they are.
        """
        farm = self.farm.master_directory
        public = PackageRepository(str(farm / "repos" / "d"), DebianMetadata("d", ["amd64"]))
        package = deb(self.farm.directory / "built", "greet", text="x" * 300_000)
        public.publish(public.prepare(PUBLIC, [str(package)]))
        self.start_web()
        apt = Apt(self.farm.directory / "apt", f"deb [trusted=yes] http://127.0.0.1:{self.port}/repositories/d d main")
        updated = apt("update", "--error-on=any")
        self.assertEqual(updated.returncode, 0, updated.stderr)
        got = apt("download", "greet")
        self.assertEqual(got.returncode, 0, got.stderr)
        (downloaded,) = apt.directory.glob("greet*.deb")
        self.assertEqual(downloaded.read_bytes(), package.read_bytes())
        self.assertIn("Hit:", apt("update", "--error-on=any").stdout)


@needs("bwrap")
class ConfinedTests(WebProcessCase):
    """
    The web process with the view that its unit gives it, made with bwrap.
    """

    @classmethod
    def setUpClass(cls) -> None:
        """
        Skip where bwrap does not work.
        """
        if lacking("bwrap"):
            return
        tried = subprocess.run(["bwrap", "--ro-bind", "/", "/", "true"], check=False, capture_output=True)
        if tried.returncode:
            cls.skip = f"{NO_BWRAP}: {tried.stderr.decode().strip()[:100]}"
            return
        super().setUpClass()

    def test_pages(self) -> None:
        """
        Promise 10.1: it shows builds and logs, and takes webhooks, although it sees no other file of its master's.
        """
        farm = self.farm.master_directory
        binds = [
            word
            for path, writable in binds_of_unit(farm).items()
            for word in ("--bind-try" if writable else "--ro-bind-try", str(path), str(path))
        ]
        base = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", str(farm), *binds)
        listed = subprocess.run([*base, "ls", str(farm)], check=True, capture_output=True, text=True).stdout.split()
        self.assertEqual(set(listed) - {"artifacts"}, {"master.tac", "records", "streams", "web"})
        self.start_web(*base, "--chdir", str(farm / "web"))
        self.assertEqual(self.get("builders/b/1")[0], 200)
        self.assertIn("hello", self.get(f"{LOG}/raw")[1])
        self.assertEqual(post_of_github(self.port, github_push(), SECRET)[0], 200)


@needs("nginx")
class NginxTests(WebProcessCase):
    """
    The web process behind nginx, with the configuration of docs/deployment.md.
    """

    front: ClassVar[int]
    secure: ClassVar[int]
    """Ports of nginx; at the second it says that the connection to it was encrypted."""

    @classmethod
    def setUpClass(cls) -> None:
        """
        Nothing where nginx is missing.
        """
        if not getattr(cls, "skip", ""):
            super().setUpClass()

    @classmethod
    def begin(cls) -> None:
        """
        Start nginx, too.
        """
        super().begin()
        cls.front, cls.secure = free_port(), free_port()
        text = (CHECKOUT / "docs" / "deployment.md").read_text()
        location = re.findall(r"^```nginx\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
        location = location.replace(":8010", f":{cls.port}")
        servers = "".join(
            f"server {{ listen 127.0.0.1:{port};\n{text}}}\n"
            for port, text in ((cls.front, location), (cls.secure, location.replace("$scheme", "https")))
        )
        cls.addClassCleanup(end, start_nginx(cls.farm.directory / "nginx", cls.farm.env, servers))

    def test_pages(self) -> None:
        """
        Promise 10.4: behind nginx below a path, every link of a page leads to a page below that path, names with
        slashes and percent signs included; another name than that of c['buildbotURL'] is refused.
        """
        self.start_web()
        for page in ("", "builders/b/1", LOG):
            address = f"http://farm.test/ci/{page}"
            status, text = self.get(f"ci/{page}", self.front, "farm.test")
            self.assertEqual(status, 200, page)
            links = {urljoin(address, link) for link in re.findall(r'(?:href|src)="([^"#]+)', text)}
            for link in sorted(links):
                self.assertTrue(link.startswith("http://farm.test/ci/"), link)
            for link in sorted(each for each in links if "/static/" in each or "/builders/b" in each):
                path = link.removeprefix("http://farm.test/").replace("&amp;", "&")
                self.assertEqual(self.get(path, self.front, "farm.test")[0], 200, link)
        self.assertEqual(self.get(f"ci/{LOG}/raw", self.front, "farm.test"), (200, "hello\n"))
        self.assertEqual(self.get("ci/", self.front, "evil.example")[0], 421)

    def asked(
        self, port: int, path: str, body: str | None = None, *, source: str = "127.0.0.1", **headers: str
    ) -> http.client.HTTPResponse:
        """
        The answer at *path* behind *port* to who comes from *source*, of this machine; to a form if there is a *body*.
        Names of *headers* have "_" for "-".
        """
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
        self.addCleanup(connection.close)
        sent = {"Host": "farm.test", **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request("GET" if body is None else "POST", path, body, sent)
        return connection.getresponse()

    def test_session(self) -> None:
        """
        Promise 10.7: behind nginx a code becomes a session over an encrypted connection alone, as a proxy that is named
        says it; the cookie is for the pages' path and for no script; links of errors and forms lead below the path.
        """
        self.start_web()
        directory = str(self.farm.master_directory)
        said = self.farm.command("grant", "control", "--web", directory)
        code = urlencode({"code": said.out.decode().strip().partition("?code=")[2]})
        claims = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "127.0.0.1", "X_Forwarded_Host": "localhost"}
        for port, path, source in ((self.front, "/ci/enter", "127.0.0.1"), (self.port, "/enter", "127.0.0.2")):
            refused = self.asked(port, path, code, source=source, **claims)
            self.assertEqual((refused.status, refused.getheader("set-cookie")), (403, None), path)
            self.assertIn(b"plain HTTP", refused.read())
        foreign = self.asked(self.secure, "/ci/enter", code, Origin="https://evil.example")
        self.assertEqual(foreign.status, 403)
        self.assertIn(b"<button", self.asked(self.secure, f"/ci/enter?{code}").read())
        entered = self.asked(self.secure, "/ci/enter", code, Origin="https://farm.test")
        self.assertEqual((entered.status, urljoin("/ci/enter", entered.getheader("location", ""))), (303, "/ci/"))
        name, *attributes = (entered.getheader("set-cookie") or "").split("; ")
        self.assertEqual({each.partition("=")[0] for each in attributes}, {"Max-Age", "HttpOnly", "SameSite", "Secure"})
        self.assertIn("SameSite=Strict", attributes)
        self.assertIn(b'leave"', self.asked(self.secure, "/ci/", Cookie=name).read())
        self.assertEqual(self.asked(self.secure, "/ci/do/cancel?request=1", Cookie=name).status, 405)
        for path in ("/ci/nothing/at/all", "/ci/builders/nothing/7", "/ci/do/cancel"):
            error = self.asked(self.secure, path, Cookie=name)
            self.assertIn(error.status, {404, 405})
            for link in re.findall(r'(?:href|src|action)="([^"#]+)', error.read().decode()):
                self.assertTrue(urljoin(path, link).startswith("/ci/"), (path, link))

    def test_events(self) -> None:
        """
        Promise 10.5: behind nginx, an event arrives when it happens, on a stream that stays open.
        """
        self.start_web()
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", "/ci/api/v1/events", headers={"Host": "farm.test"})
        response = connection.getresponse()
        self.assertRegex(response.getheader("content-type", ""), "^text/event-stream")
        self.assertEqual(self.farm.submit("b").code, 0)
        lines = (response.readline() for _ in range(10_000))
        data = next(json.loads(line[5:]) for line in lines if line.startswith(b"data:"))
        self.assertIsInstance(data, dict)

    def test_webhooks(self) -> None:
        """
        Promise 8.1: behind nginx below a path, a webhook is taken.
        """
        self.start_web()
        path = "/ci/change_hook/github"
        self.assertEqual(post_of_github(self.front, github_push(), SECRET, path=path), (200, "Recorded 2 changes.\n"))
