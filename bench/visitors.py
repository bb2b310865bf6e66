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
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from mixed_requests import GZIP, Mixed

PATIENCE = 120
LONGEST_RUN = 1200
STATE = re.compile(r'<div class="lines" id="lines"([^>]*)>')
TOPIC = re.compile(r'data-topic="([^"]*)"')
"""Of which events the page wants to hear: a log's, of those of its build."""
FIELD = re.compile(r'data-(\w+)="([^"]*)"')
PAUSE = 0.05
"""Seconds between two looks at a log, as in log.js."""
LINE = b"[%7d/9999999] \x1b[32mCC\x1b[0m src/module_%d.c: warning: unused variable in a line of ordinary length\n"
GROWS_EVERY = 0.1
"""Seconds between two pieces of the growing log: as often as the master tells news."""
PIECE = 20
"""Lines of a piece: 200 lines a second, 17 KB."""
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

    def events(self, topic):
        """
        Read server-sent events about *topic* until the connection is shut down; yield their bytes.
        """
        self._http.request(
            "GET", f"/api/v1/events?{urlencode({'topic': topic})}", headers={"Accept": "text/event-stream"}
        )
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
        self._threads = []
        self._begin(self._follow)

    def _begin(self, run, *arguments):
        self._threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self._threads[-1].start()

    def _follow(self):
        with suppress(*BROKEN):
            page = self._page.get(self._path, {})[1]
            self._begin(self._hear, TOPIC.search(page.decode("utf-8", "replace"))[1])
            state = _state(page)
            while self._open and "ended" not in state:
                told = {name: state[name] for name in ("length", "remark", "layout")}
                query = urlencode({"after": state["next"], **told})
                status, body, _ = self._page.get(f"{self._path}/lines?{query}", {})
                if status == 200:
                    self.read += int(_state(body)["length"]) - int(state["length"])
                    state = _state(body)
                    self.answers += 1
                time.sleep(PAUSE)

    def _hear(self, topic):
        with suppress(*BROKEN):
            for _ in self._stream.events(topic):
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
    # Before the first is closed, which takes a while, in which the others read on.
    answers, read = sum(each.answers for each in readers), [each.read for each in readers]
    for each in readers:
        each.close()
    return {
        "answers_per_s": answers / seconds,
        "kb_each": sum(read) / len(readers) / 1000,
        "least_kb": min(read) / 1000,
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


@contextmanager
def log_readers(farm, count):
    """
    *count* people who follow the log of a running build of the made-up *farm*, which grows; yields what ends them, and
    returns their figures.
    """
    with closing(sqlite3.connect(f"file:{farm.directory}/records/farm.sqlite?mode=ro", uri=True)) as records:
        builder, number, step, path = records.execute(
            "SELECT b.builder, b.number, s.step, s.path FROM builds b JOIN streams s ON s.build = b.id"
            " WHERE b.finished IS NULL AND s.length IS NULL AND s.kind = 'log' ORDER BY b.id DESC LIMIT 1"
        ).fetchone()
    file = farm.directory / "streams" / path
    before = file.stat().st_size
    over = threading.Event()

    def grow():
        lines = b"".join(LINE % (each, each) for each in range(PIECE))
        while not over.wait(GROWS_EVERY):
            farm.grow(path, lines)

    growing = threading.Thread(target=grow)
    with visiting("follow", farm.address, f"builders/{builder}/{number}/steps/{step}/logs/stdio", count) as stop:
        growing.start()
        try:
            yield stop
        finally:
            over.set()
            growing.join()
            # As it was, for the next run on the same records.
            os.truncate(file, before)


def yield_to_others():
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")


if __name__ == "__main__":
    yield_to_others()
    print(json.dumps({"follow": follow, "steady": steady, "mixed": mixed}[sys.argv[1]](*sys.argv[2:])), flush=True)
