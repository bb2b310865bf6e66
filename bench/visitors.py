"""
Those who look at a farm's pages, as a process of their own with the lowest priority: they stand for other machines.

    visitors.py follow ADDRESS PATH READERS          each opens the log at PATH, and follows it as a browser does
    visitors.py steady ADDRESS PER_S PATH …          these paths in turn, at a fixed rate
    visitors.py mixed ADDRESS COUNT SEED PATHS       so many requests of all kinds; PATHS: a JSON object of names

Each prints a line of JSON with its figures when its standard input ends, *mixed* when it is done.
"""

import collections
import gzip
import http.client
import itertools
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

PATIENCE = 120
LONGEST_RUN = 1200
GZIP = {"Accept-Encoding": "gzip"}
STATE = re.compile(r'<div class="lines" id="lines"([^>]*)>')
FIELD = re.compile(r'data-(\w+)="([^"]*)"')
PAUSE = 0.05
"""Seconds between two looks at a log, as in log.js."""
BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)
"""What a connection raises when it is shut down meanwhile."""


class Connection:
    """
    A connection to the farm at *address* that is made again when it was closed.
    """

    def __init__(self, address):
        self._host = urlsplit(address).netloc
        self._http = http.client.HTTPConnection(self._host, timeout=PATIENCE)

    def get(self, path, headers=GZIP, method="GET", body=None):
        """
        Return the status, the body, and the headers of the answer.
        """
        for attempt in range(2):
            try:
                self._http.request(method, f"/{path}", body=body, headers=headers)
                answer = self._http.getresponse()
                return answer.status, answer.read(), answer.headers
            except (http.client.RemoteDisconnected, ConnectionError):
                # A connection that was kept may have been closed meanwhile.
                self._http.close()
                if attempt:
                    raise
        raise AssertionError("it returns or raises")

    def events(self):
        """
        Read server-sent events until the connection is shut down; yield their bytes.
        """
        self._http.request("GET", "/api/v1/events", headers={"Accept": "text/event-stream"})
        answer = self._http.getresponse()
        yield from iter(lambda: answer.read1(1 << 16), b"")

    def close(self):
        with suppress(*BROKEN):
            self._http.sock.shutdown(socket.SHUT_RDWR)
        self._http.close()


class LogReader:
    """
    One who has a log's page open: its stream of events, and request after request for new lines.
    """

    def __init__(self, address, path):
        self._path = path
        self._page, self._stream = Connection(address), Connection(address)
        self.answers = self.read = 0
        self._open = True
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._follow, self._hear)]
        for each in self._threads:
            each.start()

    def _follow(self):
        with suppress(*BROKEN):
            state = _state(self._page.get(self._path, {})[1])
            while self._open and "ended" not in state:
                told = {name: state[name] for name in ("length", "remark", "layout")}
                query = urlencode({"after": state["next"], **told})
                status, body, _ = self._page.get(f"{self._path}/lines?{query}", {})
                if status == 200:
                    self.read += int(_state(body)["length"]) - int(state["length"])
                    state = _state(body)
                    self.answers += 1
                time.sleep(PAUSE)

    def _hear(self):
        with suppress(*BROKEN):
            for _ in self._stream.events():
                pass

    def close(self):
        self._open = False
        self._page.close()
        self._stream.close()
        for each in self._threads:
            each.join(PATIENCE)


def _state(body):
    attributes = STATE.search(body.decode("utf-8", "replace"))[1]
    return {**dict(FIELD.findall(attributes)), **({"ended": ""} if "data-ended" in attributes else {})}


def follow(address, path, count):
    readers = [LogReader(address, path) for _ in range(int(count))]
    began = time.monotonic()
    print("ready", flush=True)
    sys.stdin.read()
    seconds = time.monotonic() - began
    for each in readers:
        each.close()
    return {
        "answers_per_s": sum(each.answers for each in readers) / seconds,
        "kb_each": sum(each.read for each in readers) / len(readers) / 1000,
        "least_kb": min(each.read for each in readers) / 1000,
    }


def steady(address, per_s, *paths):
    """
    Ask at a fixed rate over four connections, for each page in a spelling of its own, so that none is a kept one.
    """
    pause = 4 / float(per_s)
    took, turns, over = [], itertools.count(), threading.Event()

    def ask(number):
        connection, due = Connection(address), time.monotonic() + number * pause / 4
        while not over.wait(max(0.0, due - time.monotonic())):
            turn = next(turns)
            path = paths[turn % len(paths)]
            anew = path if path.startswith("api/") else f"{path}{'&' if '?' in path else '?'}anew={turn}"
            began = time.monotonic()
            if connection.get(anew)[0] == 200:
                took.append(time.monotonic() - began)
            # What could not be asked in time is not made up for: then it would be a flood.
            due = max(due + pause, time.monotonic())
        connection.close()

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    began = time.monotonic()
    for each in asking:
        each.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for each in asking:
        each.join(PATIENCE)
    took.sort()
    return {
        "per_s": len(took) / (time.monotonic() - began),
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
    }


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


def mixed(address, count, seed, paths):
    """
    Ask over eight connections; the address of each answer that says "later" is printed with its sentence.
    """
    asking, lock = Mixed(int(seed), json.loads(paths)), threading.Lock()
    left, answers, later = iter(range(int(count))), collections.Counter(), collections.Counter()

    def ask():
        connection = Connection(address)
        while True:
            with lock:
                if next(left, None) is None:
                    return
                method, path, headers, body = asking.next()
            try:
                status, said, _ = connection.get(quote(path, safe="/?&=%:._-~+*"), headers, method, body)
            except (OSError, http.client.HTTPException):
                status, said = 0, b""  # cut, as a body that is too large may be
            with lock:
                answers[str(status)] += 1
                if status >= 500:
                    later[f"{status} {_sentence(said)}"] += 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    began = time.monotonic()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return {"seconds": time.monotonic() - began, "answers": dict(sorted(answers.items())), "later": dict(later)}


def _sentence(body):
    with suppress(OSError, EOFError):
        body = gzip.decompress(body)
    text = body.decode("utf-8", "replace")
    words = re.sub(r"<[^>]*>", " ", f"<main{text.partition('<main')[2]}" if "<main" in text else text)
    # One sentence, without the figures that differ each time.
    return re.sub(r"\s+", " ", re.sub(r"\d+ ?%", "N %", words)).partition("The farm buildbot_lite")[0].strip()[:160]


@contextmanager
def visiting(*words):
    """
    Run this program with *words* at the lowest priority; yields a function that ends it, and returns its figures.
    """
    # The whole session, too: sched(7) weighs sessions first (autogroup), and their processes after that.
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, words)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ}
    )

    def stop():
        said, _ = process.communicate(timeout=LONGEST_RUN)
        return json.loads(said.splitlines()[-1])

    try:
        if words[0] != "mixed":
            process.stdout.readline()
        yield stop
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def yield_to_others():
    os.nice(19)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")


if __name__ == "__main__":
    yield_to_others()
    print(json.dumps({"follow": follow, "steady": steady, "mixed": mixed}[sys.argv[1]](*sys.argv[2:])), flush=True)
