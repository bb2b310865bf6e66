"""
Small packages that are built here, by dpkg-deb and rpmbuild, and clients that install them from a repository.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

LONGEST = 120.0
"""Seconds for one program."""


def run(*words: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """
    Run a program to its end.
    """
    env = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=LONGEST, check=False)


def deb(directory: Path, name: str, version: str = "1.0", architecture: str = "all", text: str = "x") -> Path:
    """
    Build a .deb in *directory*, which has *text* in a file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tree = directory / f".{name}"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (tree / "usr/share" / name).mkdir(parents=True, exist_ok=True)
    (tree / "usr/share" / name / "text").write_text(text)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: Farm <farm@example.org>\nDescription: for tests\n"
    )
    path = directory / f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"
    done = run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(path))
    assert done.returncode == 0, done.stderr
    return path


def rpm(directory: Path, name: str, version: str = "1.0", text: str = "x") -> Path:
    """
    Build an RPM without architecture in *directory*, which has *text* in a file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    spec = directory / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: for tests\nLicense: MIT\nBuildArch: noarch\n"
        f"%description\nFor tests.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n"
        f"echo '{text}' > %{{buildroot}}/usr/share/{name}/text\n%files\n/usr/share/{name}/text\n"
    )
    done = run(
        "rpmbuild", "-bb", "--define", f"_topdir {directory}/.top", "--define", f"_rpmdir {directory}", str(spec)
    )
    assert done.returncode == 0, done.stderr
    path = directory / f"{name}-{version}-1.noarch.rpm"
    (directory / "noarch" / path.name).replace(path)
    return path


class WebServer:
    """
    Serves *directory* on an address of this machine while the block runs.  *before*: called with the path of each
    request before it is answered, one at a time.
    """

    def __init__(self, directory: Path, before: Callable[[str], None] = lambda path: None) -> None:
        self._server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
        self._server.before = before
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    before: Callable[[str], None]
    turn = Lock()


class _Quiet(SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        assert isinstance(self.server, _Server)
        with self.server.turn:
            self.server.before(self.path)
        return super().send_head()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name in the base class
        pass


class Apt:
    """
    A client with a state of its own in *directory*, which reads *source*, a line of sources.list, or the text of a file
    NAME.sources.  Passwords are in its auth.conf.
    """

    def __init__(self, directory: Path, source: str) -> None:
        self.directory = directory
        for each in ("lists/partial", "cache/archives/partial", "etc"):
            (directory / each).mkdir(parents=True)
        name = "farm.sources" if source.startswith("Types:") else "sources.list"
        (directory / name).write_text(source + "\n")
        (directory / "status").write_text("")
        self._options = [
            f"Dir::Etc::sourcelist={directory}/{name}",
            f"Dir::Etc::netrc={directory}/auth.conf",
            "Dir::Etc::netrcparts=/dev/null",
            "Dir::Etc::sourceparts=/dev/null",
            "Dir::Etc::preferencesparts=/dev/null",
            f"Dir::Etc::preferences={directory}/preferences",
            f"Dir::State::lists={directory}/lists",
            f"Dir::State::status={directory}/status",
            f"Dir::Cache={directory}/cache",
            "APT::Sandbox::User=root",
            "APT::Architecture=amd64",
            "APT::Architectures::=amd64",
            "Acquire::Languages=none",
            "Acquire::http::Proxy=false",
        ]

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """
        Run apt-get with *words*, in the client's directory.
        """
        options = [word for option in self._options for word in ("-o", option)]
        return run("apt-get", "--quiet", *options, *words, cwd=self.directory)


class Dnf:
    """
    A client with a state of its own in *directory*, which reads the repository at *url*.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        (directory / "dnf.conf").write_text(
            f"[main]\nreposdir=/dev/null\ncachedir={directory}/cache\npersistdir={directory}/state\nlogdir={directory}\n"
            f"pluginpath=/nowhere\nplugins=0\n[farm]\nname=farm\nbaseurl={url}\ngpgcheck=0\nenabled=1\nproxy=_none_\n"
        )

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """
        Run dnf with *words*, in the client's directory.
        """
        fixed: Sequence[str] = ("--config", "dnf.conf", "--installroot", str(self.directory / "root"), "--releasever=1")
        return run("dnf", "--assumeyes", "--quiet", *fixed, *words, cwd=self.directory)
