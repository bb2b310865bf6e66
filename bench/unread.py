"""
Clients that ask for much and read nothing, as a process of their own: they stand for other machines.

    unread.py KIND ADDRESS COUNT PATHS      COUNT connections of KIND, or of all kinds in turn: AT_ONCE; PATHS: a JSON
                                            object of names, and the "cookie" of somebody who may force builds

It prints a line when each has something to read or was cut, or after `PATIENCE`, and stays until it is killed.
"""

import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import proc

COUNT = 1000
PATIENCE = 60
SILENT = 20
"""Seconds for those that get no answer."""
WINDOW = 2048
"""Bytes of a client's buffer: the system keeps little of what is not read."""
SETTLED = 2.0
ENDS_LATE = "long_at_once"
"""Of these, all heads are sent but for their end, and then all ends: all requests are there at one moment."""
END = b"\r\n"
LARGE = {"large_hooks": 4 << 20, "large_forms": 2_400_000}
"""Bytes of the body of one of these."""
AT_ONCE = "at_once"


def unread_peaks(farm, paths, count=COUNT):
    """
    The peak of the resident memory of *farm*'s web process in MiB while *count* clients of each kind read nothing, and
    what stays 8 s after they have gone.
    """
    figures = {}
    for kind in (*KINDS, AT_ONCE):
        proc.forget_peak(farm.web.pid)
        with _clients(kind, farm.address, count, paths) as process:
            process.stdout.readline()
            time.sleep(SETTLED)
            figures[f"unread_{kind}_mb"] = proc.memory(farm.web.pid)[1]
    time.sleep(8)
    return {**figures, "unread_peak_mb": max(figures.values()), "unread_after_mb": proc.memory(farm.web.pid)[0]}


@contextmanager
def _clients(kind, address, count, paths):
    command = [sys.executable, str(Path(__file__).resolve()), kind, address, str(count), json.dumps(paths)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _get(path, *headers):
    return "".join(f"{line}\r\n" for line in (f"GET /{path} HTTP/1.1", "Host: localhost", *headers, "")).encode()


def _post(path, size, *headers):
    return _get(path, f"Content-Length: {size}", *headers).replace(b"GET", b"POST", 1)


GZIP = "Accept-Encoding: gzip"
KINDS = {
    "one_large": lambda n, paths: _get("api/v1/farm"),
    "large": lambda n, paths: _get("api/v1/farm?" + "&" * n),
    "long": lambda n, paths: _get(f"api/v1/farm?{n}{'a' * 7000}"),
    ENDS_LATE: lambda n, paths: _get(f"api/v1/farm?{n}{'b' * 7000}"),
    "fields": lambda n, paths: _get(f"api/v1/farm?{'&'.join(f'{n + each:x}' for each in range(100_000, 101_160))}"),
    "segments": lambda n, paths: _get(f"api/v1/builds/{'/'.join(f'{n + each:x}' for each in range(4096, 5500))}"),
    "closing": lambda n, paths: _get("api/v1/farm?" + "&" * n, "Connection: close"),
    "pages": lambda n, paths: _get(f"builds?before={paths['builds'] - 10 * n}", GZIP),
    "lines": lambda n, paths: _get(f"{paths['logs'][0]}?before={paths['length'] - 1000 * n}"),
    "downloads": lambda n, paths: _get(f"{paths['logs'][0]}/raw"),
    "packed": lambda n, paths: _get(f"{paths['logs'][0]}/raw", GZIP),
    "ranges": lambda n, paths: _get(f"{paths['logs'][1]}/raw", f"Range: bytes={1000 * n}-{paths['length'] - 1}"),
    "events": lambda n, paths: _get("api/v1/events?after=1"),
    "ahead": lambda n, paths: _get("api/v1/events") + _get("healthz", f"X: {'a' * 8000}") * 8,
    "heads": lambda n, paths: _get("", *(f"X{n}-{each}: a" for each in range(490)))[:-2],
    "bodies": lambda n, paths: _get("enter", "Content-Length: 64000").replace(b"GET", b"POST") + b"b" * 63_000,
    "trailers": lambda n, paths: (
        _get("enter", "Transfer-Encoding: chunked").replace(b"GET", b"POST") + b"0\r\n" + b"a\r\n" * 21_800
    ),
    "hooks": lambda n, paths: (
        _get("change_hook/github", "Content-Length: 4000000").replace(b"GET", b"POST") + b"b" * 200_000
    ),
    "large_hooks": lambda n, paths: _post("change_hook/github", LARGE["large_hooks"]),
    "large_forms": lambda n, paths: _post(
        f"builders/{paths['builders'][0]}/force", LARGE["large_forms"], f"Cookie: {paths['cookie']}"
    ),
    "idle": lambda n, paths: b"",
}
"""What each client sends, by kind: its number and the paths of the farm are known."""
GET_NOTHING = {"heads", "bodies", "hooks", "idle", AT_ONCE}


def main(kind, address, count, paths):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    where, paths = urlsplit(address), json.loads(paths)
    kinds = list(KINDS) if kind == AT_ONCE else [kind]
    found, looking, unsent = [], select.poll(), {}
    filler, late = memoryview(b"b" * max(LARGE.values())), []
    for number in range(int(count)):
        found.append(socket.socket())
        found[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        # One that is cut meanwhile stays so.
        with suppress(OSError):
            found[-1].settimeout(PATIENCE)
            found[-1].connect((where.hostname, where.port))
            found[-1].setblocking(False)
            each = kinds[number % len(kinds)]
            unsent[found[-1]] = [memoryview(KINDS[each](number, paths)), filler[: LARGE.get(each, 0)]]
            if each == ENDS_LATE:
                unsent[found[-1]] = [unsent[found[-1]][0][: -len(END)]]
                late.append(found[-1])
            _send(unsent)
        looking.register(found[-1], select.POLLIN)
    for each in late:
        unsent.setdefault(each, []).append(memoryview(END))
    until = time.monotonic() + (SILENT if kind in GET_NOTHING else PATIENCE)
    while time.monotonic() < until and len(looking.poll(0)) < len(found):
        _send(unsent)
        time.sleep(0.2)
    print("asked", len(looking.poll(0)), flush=True)
    sys.stdin.read()


def _send(unsent):
    """
    Send what the system takes of *unsent*: the pieces of each socket.
    """
    for each, pieces in list(unsent.items()):
        try:
            while pieces:
                sent = each.send(pieces[0])
                pieces[:1] = [pieces[0][sent:]] if sent < len(pieces[0]) else []
            del unsent[each]
        except BlockingIOError:
            pass
        except OSError:
            del unsent[each]


if __name__ == "__main__":
    os.nice(19)
    main(*sys.argv[1:])
