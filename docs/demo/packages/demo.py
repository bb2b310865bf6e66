"""
``make demo-packages``: packages of Debian and RPM on this machine, from their sources to apt and dnf.

Everything is in ``.demo-packages`` below the checkout.  Each line of the table is something that was tried just now;
the exit code is 0 only if all of them held.  With ONCE=1 it ends after the table; otherwise the farm stays up until
Ctrl-C.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any

from buildbot_lite.packages.building.debian_roots import Overlay

CHECKOUT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
TOP = CHECKOUT / ".demo-packages"
MASTER, SLAVES = TOP / "master", ("bot1", "bot2")
SOURCES, CLIENTS = TOP / "sources", TOP / "clients"
BIN = Path(sys.executable).parent
PROGRAMS = {
    "apt-ftparchive": "apt-utils",
    "createrepo_c": "createrepo-c",
    "dpkg-source": "dpkg-dev",
    "gpg": "gnupg",
    "gpgv": "gpgv",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "rpmbuild": "rpm",
}
# Seconds: two roots are made with mmdebstrap the first time.
LONGEST = 1200
BASE = ["debhelper", "rpm", "dnf", "file", "texinfo", "help2man"]
# Programs that run now, to be ended when somebody ends the demo.
RUNNING: set["subprocess.Popen[str]"] = set()
# What takes longest, hello, goes first.
LATER = ["--priority", "-1"]
# The numbers of jobs, by what was built.
BUILT: dict[str, str] = {}
APT = "apt-get -qq -o APT::Sandbox::User=root"


class CheckError(Exception):
    """
    Something did not hold; its sentence says what.
    """


class Ended(BaseException):
    """
    Somebody wants the demo to end.
    """


class Table:
    """
    What was tried, each on a line as soon as it is known; several at a time.  *over*: nothing more is shown.
    """

    def __init__(self) -> None:
        self.failed = 0
        self.over = False
        self._printing = Lock()

    def row(self, what: str, check: Callable[[], str]) -> None:
        """
        Try it: *check* returns what was seen, or raises.
        """
        began = time.monotonic()
        try:
            seen, held = check(), True
        except (CheckError, OSError, subprocess.TimeoutExpired, LookupError, ValueError) as error:
            seen, held = str(error), False
        lines = [f"{'ok    ' if held else 'FAILED'} {time.monotonic() - began:5.1f} s  {what}"]
        lines += [f"                  {line}" for line in seen.splitlines()]
        if self.over:
            return
        with self._printing:
            self.failed += not held
            print("\n".join(lines), flush=True)


def together(*works: Callable[[], Any]) -> list[Any]:
    """
    The results of *works*, all of which run at the same time.
    """
    pool = ThreadPoolExecutor(len(works))
    try:
        return [future.result() for future in [pool.submit(work) for work in works]]
    finally:
        pool.shutdown(wait=False)


def ran(*words: str | Path, code: int | None = 0, text: str = "", cwd: Path | None = None, **env: str) -> str:
    """
    The output of a program, which must end with *code* (None: any but 0).
    """
    process = subprocess.Popen(
        [str(BIN / words[0]) if words[0] == "buildbot-lite" else str(words[0]), *map(str, words[1:])],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    RUNNING.add(process)
    try:
        output = "".join(process.communicate(text, timeout=LONGEST))
    finally:
        process.kill()
        process.wait()
        RUNNING.discard(process)
    if (process.returncode == 0) if code is None else (process.returncode != code):
        last = "\n".join(output.strip().splitlines()[-3:])
        raise CheckError(f"{' '.join(map(str, words[:4]))[:80]} ended with {process.returncode}: {last}")
    return output


def farm(*words: str | Path, **more: str | int | None) -> str:
    """
    The output of buildbot-lite package.
    """
    return ran("buildbot-lite", "package", *words, **more)


def jobs() -> dict[str, dict[str, Any]]:
    """
    The newest job of each target and package, without those that only try whether something can be built.
    """
    found = json.loads(farm("list", MASTER, "--json"))
    return {f"{each['target']} {each['name']}": each for each in reversed(found) if not each["scratch"]}


def install_programs() -> None:
    """
    Install what is missing, or say what it is.
    """
    packages = sorted({package for program, package in PROGRAMS.items() if not _there(program)})
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise SystemExit(f"demo: this machine lacks some programs; as root: {' '.join(command)}")
    print(f"Installing {', '.join(packages)}.", flush=True)
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def _there(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def fetch_sources() -> str:
    """
    The sources of hello and nyancat from Debian, without a change to this machine's apt; and three of the demo's own.
    """
    SOURCES.mkdir(exist_ok=True)
    if not list(SOURCES.glob("nyancat_*.dsc")):
        state = TOP / "apt"
        for name in ("lists/partial", "cache/archives/partial"):
            (state / name).mkdir(parents=True, exist_ok=True)
        (state / "sources.list").write_text("deb-src http://deb.debian.org/debian bookworm main\n")
        options = [
            *("-o", f"Dir::Etc::sourcelist={state}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache", "-o", "APT::Sandbox::User="),
        ]
        ran("apt-get", "-qq", *options, "update")
        ran("apt-get", "-qq", *options, "source", "--download-only", "hello", "nyancat", cwd=SOURCES)
    ran(
        "rpmbuild", "-bs", "--quiet", "--define", f"_topdir {TOP}/rpm", "--define", f"_srcrpmdir {SOURCES}", "--define",
        "dist %{nil}", HERE / "greet.spec",
    )  # fmt: skip
    _own_source("broken", "%:\n\techo 'this package cannot be built'; false\n", "amd64")
    (hello,) = SOURCES.glob("hello_*.dsc")
    _own_source(
        "sayhello",
        "%:\n\tdh $@\noverride_dh_auto_build:\n\thello >greeting\n",
        architecture="all",
        depends=f"debhelper-compat (= 13), hello (>= {hello.stem.partition('_')[2]}+farm1)",
        install="greeting usr/share/sayhello\n",
    )
    return ", ".join(sorted(each.name for pattern in ("*.dsc", "*.src.rpm") for each in SOURCES.glob(pattern)))


def _own_source(name: str, rules: str, architecture: str = "any", depends: str = "", install: str = "") -> None:
    # Here, because `start` runs at the same time.
    shutil.rmtree(SOURCES / name, ignore_errors=True)
    debian = SOURCES / name / "debian"
    (debian / "source").mkdir(parents=True, exist_ok=True)
    (debian / "source" / "format").write_text("3.0 (native)\n")
    (debian / "control").write_text(
        f"Source: {name}\nMaintainer: Farm <farm@example.org>\nStandards-Version: 4.6.2\n"
        + (f"Build-Depends: {depends}\n" if depends else "")
        + f"\nPackage: {name}\nArchitecture: {architecture}\nDescription: for the demo\n For the demo.\n"
    )
    (debian / "changelog").write_text(
        f"{name} (1.0) unstable; urgency=low\n\n  * First.\n\n"
        " -- Farm <farm@example.org>  Sat, 28 Nov 2026 12:00:00 +0000\n"
    )
    (debian / "rules").write_text(f"#!/usr/bin/make -f\n{rules}")
    if install:
        (debian / "install").write_text(install)
    (debian / "rules").chmod(0o755)
    ran("dpkg-source", "--build", name, cwd=SOURCES)


def make_key() -> str:
    """
    A key in a GNUPGHOME of its own, the signer's; the farm gets the public part.
    """
    home = _gnupghome()
    if not home.exists():
        home.mkdir(mode=0o700)
        words = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        ran(
            *words,
            "--quick-generate-key",
            "Signer <signer@example.org>",
            "rsa3072",
            "sign",
            "never",
            GNUPGHOME=str(home),
        )
    public = ran("gpg", "--batch", "--armor", "--export", "signer@example.org", GNUPGHOME=str(home))
    (MASTER / "key.asc").write_text(public)
    return (
        ran("gpg", "--batch", "--with-colons", "--list-keys", GNUPGHOME=str(home))
        .split("fpr:::::::::")[1]
        .split(":")[0]
    )


def _gnupghome() -> Path:
    # Sockets of gpg-agent are there; their paths must be short.
    return Path(f"/tmp/buildbot-lite-demo-{os.geteuid()}")


def start_master() -> None:
    """
    Make and start a master; its two slaves are to have the roots of an earlier demo, but nothing else of it.
    """
    stop()
    for name in SLAVES:
        if (TOP / name / "work" / "roots").exists():
            (TOP / name / "work" / "roots").rename(TOP / f"{name}.roots")
    for each in (MASTER, *(TOP / name for name in SLAVES), CLIENTS):
        shutil.rmtree(each, ignore_errors=True)
    for furl in TOP.glob("*.furl"):
        furl.unlink()
    ran("buildbot-lite", "create-master", MASTER, "--host", "127.0.0.1")
    shutil.copy(HERE / "master.cfg", MASTER / "master.cfg")
    make_key()
    ran("buildbot-lite", "start", MASTER)


def start_slave(name: str) -> None:
    """
    Make and start a slave.
    """
    ran("buildbot-lite", "create-slave", TOP / name, "-", text=(MASTER / "furls" / f"{name}.furl").read_text())
    if (TOP / f"{name}.roots").exists():
        (TOP / name / "work").mkdir(mode=0o700, exist_ok=True)
        (TOP / f"{name}.roots").rename(TOP / name / "work" / "roots")
    tac = TOP / name / "slave.tac"
    tac.write_text(tac.read_text().replace("    # shells=True,", "    shells=True,"))
    ran("buildbot-lite", "start", TOP / name)


def stop() -> None:
    """
    End the farm and the signer's agent.
    """
    for process in list(RUNNING):
        process.terminate()
    together(
        partial(_stop, MASTER),
        *(partial(_stop, TOP / name, "--kill") for name in SLAVES),
        partial(_stop_agent),
    )


def _stop(directory: Path, *more: str) -> None:
    if (directory / "twistd.pid").exists():
        with suppress(CheckError):
            ran("buildbot-lite", "stop", directory, *more)


def _stop_agent() -> None:
    with suppress(CheckError, FileNotFoundError):
        ran("gpgconf", "--kill", "all", GNUPGHOME=str(_gnupghome()))


def refuse_junk() -> str:
    """
    A file that is no source package is one sentence, and nothing is queued.
    """
    junk = "no source package" * 100
    furl = MASTER / "furls" / "bookworm.furl"
    said = ran(BIN / "flappclient", "--furlfile", furl, "run-command", code=2, text=junk)
    if queued := jobs():
        raise CheckError(f"something was queued: {', '.join(queued)}")
    return said.strip().splitlines()[-1]


def refuse_lack() -> str:
    """
    A package that needs the farm's own hello, which is not built yet.
    """
    farm("build", MASTER, "bookworm", *SOURCES.glob("sayhello_*.dsc"), code=1)
    said = str(jobs()["bookworm sayhello"]["reason"])
    if "hello (>= " not in said:
        raise CheckError(f"the reason does not name hello: {said}")
    return said


def build(target: str, *patterns: str, code: int = 0, options: Sequence[str] = ()) -> str:
    """
    Build the packages *patterns* of the sources one after another; says which is the first job.
    """
    sources = [source for pattern in patterns for source in SOURCES.glob(pattern)]
    said = farm("build", MASTER, target, *sources, *options, code=code)
    (TOP / f"{sources[0].name}.log").write_text(said)
    found = re.search(r"# job ([0-9]+): ", said)
    if found is None:
        raise CheckError(f"the master told no number of a job: {said[-200:]}")
    BUILT[patterns[0]] = found[1]
    return f"job {found[1]}"


def build_all(table: Table) -> None:
    """
    A chain of hello and what needs it; beside it nyancat and greet, and a package that cannot be built.
    """
    # Queued alone: builds for all architectures go to the slave that did the last one, so each is in a root of the same
    # architecture, and can be compared.
    table.row("nyancat is queued", partial(build, "bookworm", "nyancat_*.dsc", options=["--no-wait"]))
    hello = partial(build, "bookworm", "hello_*.dsc", "sayhello_*.dsc")
    greet = partial(build, "f4", "greet-1.0-1.src.rpm", options=LATER)
    together(
        partial(table.row, "hello is built for each architecture, and then what needs it", hello),
        partial(table.row, "greet is built for each architecture", greet),
        partial(build_broken, table),
    )


def build_broken(table: Table) -> None:
    """
    A package that cannot be built; then what the signer needs, while others are built.
    """
    table.row("a package cannot be built", partial(build, "bookworm", "broken_*.dsc", code=1, options=LATER))
    table.row("the root of a build that failed is entered", lambda: enter_failed(BUILT["broken_*.dsc"]))
    together(*(partial(_grant, verb, target) for verb in ("sign", "push") for target in ("bookworm", "f4")))


def one_noarch() -> str:
    """
    The noarch subpackage comes from the build of each architecture, as another file, and is one package.
    """
    made = {path.parent.name: path for path in (MASTER / "packages" / "f4").glob("greet/*/*/greet-data-*.noarch.rpm")}
    (entered,) = (MASTER / "repos" / "f4" / "build" / "packages").glob("greet-data-*.noarch.rpm")
    if set(made) != {"x86_64", "i686"}:
        raise CheckError(f"greet-data comes from {', '.join(made) or 'nowhere'}")
    digests = {ran("rpm", "-qp", "--queryformat", "%{PAYLOADDIGEST}", path) for path in made.values()}
    if len(digests) != 1:
        raise CheckError("the two have different contents")
    files = len({path.read_bytes() for path in made.values()})
    return f"{entered.name} of x86_64 and i686: {files} files, contents {digests.pop().strip()[:12]}…, one package"


def enter_failed(job: str) -> str:
    """
    The root of the build that failed is entered.
    """
    string = TOP / "shell.furl"
    string.touch(mode=0o600)
    granted = ran("buildbot-lite", "grant", "shell", MASTER, "bookworm", "--label", "maintainer")
    string.write_text(next(line for line in granted.splitlines() if line.startswith("pb://")) + "\n")
    said = farm("shell", "--furlfile", string, job, "amd64", text="ls -d /build/out/src/debian; hostname\n")
    if "/build/out/src/debian\nfarm" not in said:
        raise CheckError(f"the shell said: {said}")
    return f"buildbot-lite package shell --furlfile {string.name} {job} amd64: /build/out/src is there"


def wait_for_signature() -> str:
    """
    What was built waits for a signature.
    """
    wanted = ("bookworm hello", "bookworm sayhello", "bookworm nyancat", "f4 greet")

    end = time.monotonic() + 60
    while {(found := jobs())[name]["state"] for name in wanted} != {"needsign"}:
        if time.monotonic() > end:
            raise CheckError(f"{[(name, found[name]['state'], found[name]['reason']) for name in wanted]}")
        time.sleep(0.5)
    if secret := [path for path in MASTER.rglob("*") if path.is_file() and b"PRIVATE KEY BLOCK" in path.read_bytes()]:
        raise CheckError(f"a secret key is in {secret[0]}")
    lines = [f"{name} {found[name]['built_version']}: {', '.join(_arches(found[name]))}" for name in wanted]
    return "\n".join([*lines, "no secret key is in the master's directory"])


def _arches(job: dict[str, Any]) -> list[str]:
    return [each["architecture"] for each in job["arches"] if each["state"] == "done"]


def sign() -> str:
    """
    Signed with the key in the signer's own GNUPGHOME.
    """
    key = make_key()
    return "\n".join(together(*(partial(_sign, target, key) for target in ("bookworm", "f4"))))


def _sign(target: str, key: str) -> str:
    words = ("sign", "--all", "--yes", "--key", key, "--furlfile", TOP / f"sign-{target}.furl")
    output = farm(*words, GNUPGHOME=str(_gnupghome()))
    farm("push", "--all", "--furlfile", TOP / f"push-{target}.furl")
    return "\n".join(f"{target}: {line[2:]}" for line in output.splitlines() if "went out" in line)


def _grant(verb: str, target: str) -> None:
    furl = TOP / f"{verb}-{target}.furl"
    granted = ran("buildbot-lite", "grant", verb, MASTER, target, "--label", "signer")
    furl.touch(mode=0o600)
    furl.write_text(next(line for line in granted.splitlines() if line.startswith("pb://")) + "\n")


@contextmanager
def client(name: str) -> Iterator[tuple[Path, Callable[[str], str]]]:
    """
    A fresh root, over the base of the first slave: its directory ``in`` and what runs a script in it.
    """
    directory = CLIENTS / name / "build"
    (directory / "files" / "in").mkdir(parents=True, exist_ok=True)
    (directory / "files" / "out").mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (CLIENTS / "roots").symlink_to(TOP / "bot1" / "work" / "roots")
    root = Overlay("bookworm", packages=BASE)
    for target in ("bookworm", "f4"):
        shutil.copytree(MASTER / "repos" / target / "public", directory / "files" / "in" / target, dirs_exist_ok=True)
    shutil.copy(MASTER / "key.asc", directory / "files" / "in")
    try:
        for words in root.begin("amd64"):
            _in_root(words, directory)
        yield directory / "files" / "in", lambda script: _in_root(root.prepare("amd64", script), directory)
    finally:
        _in_root(root.end(), directory)


def _in_root(words: Sequence[str], directory: Path) -> str:
    done = subprocess.run(words, cwd=directory, capture_output=True, check=False, text=True, timeout=LONGEST)
    if done.returncode:
        raise CheckError((done.stdout + done.stderr).strip()[-1500:])
    return done.stdout


INSTALL_HELLO = f"""
echo 'deb [signed-by=/build/in/key.asc] file:/build/in/bookworm bookworm main' >/etc/apt/sources.list
{APT} update && {APT} --yes install hello nyancat >/dev/null 2>&1
dpkg-query --show --showformat '${{Package}} ${{Version}}: ' hello
hello
"""
F4_REPO = """\
[f4]
name=f4
baseurl=file:///build/in/f4
gpgcheck=1
repo_gpgcheck=1
gpgkey=file:///build/in/key.asc
"""
INSTALL_GREET = f"""
mkdir -p /etc/yum.repos.d
cat >/etc/yum.repos.d/f4.repo <<END
{F4_REPO}END
dnf --noplugins --quiet --assumeyes --releasever=1 --installroot=/tmp/fresh --setopt=reposdir=/etc/yum.repos.d \\
    install greet-data
cat /tmp/fresh/usr/share/greet/greet.txt
"""


def refused(install: Callable[[], str], *reasons: str) -> str:
    """
    What was said when it was refused, which has to be for one of *reasons*.
    """
    try:
        install()
    except CheckError as error:
        said = str(error)
        line = next((line for line in said.splitlines() if any(word in line for word in reasons)), "")
        if not line:
            raise CheckError(f"it was refused, but for another reason: {said}") from None
        return line.strip()[:110]
    raise CheckError("it was installed")


def apt_installs() -> str:
    """
    Apt installs hello in a fresh root, and it runs.
    """
    with client("apt") as (_, inside):
        said = inside(INSTALL_HELLO)
    if "+farm1" not in said or "Hello, world!" not in said:
        raise CheckError(f"it said: {said[-200:]}")
    return said.strip().splitlines()[-1]


def apt_refuses() -> str:
    """
    Apt refuses an index that was changed after it was signed, and one that is not signed.
    """
    with client("tampered-apt") as (place, inside):
        for index in (place / "bookworm" / "dists" / "bookworm").glob("InRelease"):
            index.write_text(index.read_text().replace("Codename: bookworm", "Codename: bookwarm"))
        tampered = refused(lambda: inside(INSTALL_HELLO), "BADSIG", "invalid", "NOSPLIT")
        _unsigned(place, "bookworm")
        return f"{tampered}\n{refused(lambda: inside(INSTALL_HELLO), 'not signed')}"


def _unsigned(place: Path, target: str) -> None:
    """
    Put a repository there as the farm has it before anybody signs.
    """
    shutil.rmtree(place / target)
    shutil.copytree(MASTER / "repos" / target / "build", place / target)


def dnf_installs() -> str:
    """
    Dnf installs greet in a fresh root.
    """
    with client("dnf") as (_, inside):
        said = inside(INSTALL_GREET)
    if "Hello from a farm" not in said:
        raise CheckError(f"it said: {said[-200:]}")
    return said.strip().splitlines()[-1]


def dnf_refuses() -> str:
    """
    Dnf refuses a package that was changed after it was signed, and one that is not signed.
    """
    with client("tampered-dnf") as (place, inside):
        for package in place.glob("f4/**/greet-data-*.rpm"):
            package.write_bytes(package.read_bytes()[:-1] + b"?")
        tampered = refused(lambda: inside(INSTALL_GREET), "checksum", "corrupt", "digest")
        _unsigned(place, "f4")
        # Without the check of the index, that of the package refuses it.
        install = INSTALL_GREET.replace("f4]\nname=f4", "new]\nname=new").replace("repo_gpgcheck=1", "repo_gpgcheck=0")
        return f"{tampered}\n{refused(lambda: inside(install), 'not signed')}"


def same_again(job: str) -> str:
    """
    nyancat, built again, is the same bit for bit.
    """
    return farm("rebuild", MASTER, job, "--compare").strip()


def publish_all(table: Table) -> None:
    """
    The way from packages that are built to those that are installed.
    """
    table.row("what was built waits for a signature", wait_for_signature)
    table.row("the noarch package of both architectures is one", one_noarch)
    table.row("signed with a key that the farm has not, and published", sign)
    together(
        partial(table.row, "apt installs hello, and it runs", apt_installs),
        partial(table.row, "apt refuses", apt_refuses),
        partial(table.row, "dnf installs greet-data", dnf_installs),
        partial(table.row, "dnf refuses", dnf_refuses),
    )


def end(number: int, frame: FrameType | None) -> None:
    """
    A signal asks the demo to end.
    """
    raise Ended


def main() -> int:
    """
    Run the demo; answers the exit code.
    """
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    install_programs()
    TOP.mkdir(mode=0o700, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    table, began = Table(), time.monotonic()
    try:
        print("The first time, each of two slaves makes a root with mmdebstrap.\n", flush=True)
        together(start_master, partial(table.row, "sources", fetch_sources))
        together(
            *(partial(start_slave, name) for name in SLAVES),
            partial(table.row, "what is no source package is refused", refuse_junk),
        )
        table.row("a package that needs the farm's hello is refused", refuse_lack)
        build_all(table)
        together(
            partial(table.row, "nyancat, built again, is the same", lambda: same_again(BUILT["nyancat_*.dsc"])),
            partial(publish_all, table),
        )
        print(f"\n{time.monotonic() - began:.0f} s; {table.failed or 'nothing'} failed.", flush=True)
        if not os.environ.get("ONCE"):
            print(f"The farm is up: {BIN}/buildbot-lite package list {MASTER}.  Ctrl-C ends it.", flush=True)
            signal.pause()
    except CheckError as error:
        print(f"demo: {error}", file=sys.stderr)
        table.failed += 1
    except Ended:
        table.over = True
        print("\nEnding.", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop()
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
