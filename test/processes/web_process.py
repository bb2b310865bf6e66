"""
A real web process beside a farm, and webhooks for it.
"""

import http.client
import json
import re
from pathlib import Path
from typing import Any

from buildbot_lite.master.scheduling.changes.webhooks.signatures import proof

from ..ports import free_port
from .farm import Farm


def started_web(farm: Farm) -> tuple[Path, int]:
    """
    Start a web process of *farm*, whose master runs, with the commands that users give; returns its directory and port.
    """
    granted = farm.command("grant", "webhooks", str(farm.master_directory))
    web = farm.directory / "web"
    made = farm.command("create-web", str(web), "-", stdin=granted.out)
    assert made.code == 0, made
    port = free_port()
    tac = web / "web.tac"
    tac.write_text(re.sub(r'# port=".*",', f'port="tcp:{port}:interface=127.0.0.1",', tac.read_text()))
    started = farm.command("start", str(web))
    assert started.code == 0, (started, (web / "twistd.log").read_text())
    return web, port


def post_of_github(
    port: int, payload: Any, secret: str, event: str = "push", path: str = "/change_hook/github"
) -> tuple[int, str]:
    """
    Send a webhook as GitHub does; returns status and sentence.
    """
    body = json.dumps(payload).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": proof("github", body, secret),
        "Content-Type": "application/json",
    }
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer
