"""
Steps that send an HTTP request from the master.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...model.http_request import HEADER_NAME, METHODS, HttpAnswer, HttpRequest
from ...model.json_reader import encode
from ...model.results import Result
from ...model.spec import SECRET_REFERENCE
from ...model.urls import without_passwords
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .source_step import credentials
from .step import BuildStep

__all__ = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "HTTPStep"]

HIDDEN = "<HIDDEN>"
_LONGEST_TIMEOUT = 3600.0
_ALWAYS_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def _address(checker: ArgumentChecker, name: str, value: Any) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or not value.isascii() or any(each in value for each in " \r\n\t"):
        checker.wrong(name, value, 'an address like "https://example.org/builds"')
        return "https://localhost/"
    if "@" in parts.netloc:
        checker.note(f"{name} has a user in it: use auth=(user, password) instead.")
    return str(value)


def _headers(checker: ArgumentChecker, name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        checker.wrong(name, value, "a dictionary")
        return {}
    found = {}
    for key, item in value.items():
        text = checks.words(checker, f"{name}[{key!r:.60}]", item)
        if not isinstance(key, str) or not HEADER_NAME.match(key) or "\n" in text or "\r" in text:
            checker.note(f"{name}: {key!r:.60} and its value are not a valid header.")
        else:
            found[key] = text
    return found


def _pairs(checker: ArgumentChecker, name: str, value: Any) -> list[list[str]]:
    # A build checks the answer of this function again, which is a list of pairs already.
    items = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(items, (list, tuple)) or not all(
        isinstance(each, (list, tuple)) and len(each) == 2 for each in items
    ):
        checker.wrong(name, value, "a dictionary")
        return []
    found = []
    for key, item in items:
        for each in item if isinstance(item, (list, tuple)) else [item]:
            if each is not None:
                text = str(each) if isinstance(each, bool) else checks.words(checker, f"{name}[{key!r:.60}]", each)
                found.append([str(key), text])
    return found


def _data(checker: ArgumentChecker, name: str, value: Any) -> Any:
    return _pairs(checker, name, value) if not isinstance(value, (str, int)) else checks.text(checker, name, value)


def _json(checker: ArgumentChecker, name: str, value: Any) -> Any:
    try:
        encode(value)
    except (TypeError, ValueError):
        checker.wrong(name, value, "something that can be written as JSON")
        return None
    return value


def _timeout(checker: ArgumentChecker, name: str, value: Any) -> float:
    seconds = checker.seconds(name, value)
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        checker.wrong(name, value, f"more than 0 and at most {_LONGEST_TIMEOUT:.0f} seconds")
    return seconds


def _verified(checker: ArgumentChecker, name: str, value: Any) -> Any:
    if value is not True:
        checker.note(f"{name} must be True: without a check of the certificate, any host could receive the request.")
    return True


class HTTPStep(BuildStep):
    """
    Send an HTTP request from the master.  A status of 400 or more, or no answer, is FAILURE.

    *url*: the address, http or https.  *method*: "POST" (default), "GET", "PUT", "DELETE", "HEAD" or "OPTIONS".
    *params*: a dictionary of parameters, which are appended to *url* as a query.
    *data*: the body: text, or a dictionary, which is sent as a form.  *json*: a value that is sent as a body of JSON.
    *headers*, *cookies*: dictionaries.  *auth*: ``(user, password)``, usually with a ``util.Secret``.
    *hide_request_headers*, *hide_response_headers*: names of headers whose values the log does not show.  It never
    shows the values of Authorization, Proxy-Authorization, Cookie and Set-Cookie, and of headers with a secret in them.
    *timeout*: seconds for the request with all redirections, default 60, at most 3600.
    *allow_redirects*: follow at most ten redirections; default True, for HEAD False.  Another host gets neither
    *headers* nor *auth*.
    *verify*: must be True: certificates are always checked.

    The log "log" has the request, and the status and headers of the answer; the log "content" has the first 64 KiB of
    its body.  After a restart of the master, a request whose answer was recorded is not sent again.
    """

    name = "http"

    url = argument(_address, positional=True)
    method = argument(checks.choice(*METHODS), default="POST", positional=True)
    params = argument(_pairs, default=None)
    data = argument(_data, default=None)
    json = argument(_json, default=None)
    headers = argument(_headers, default=None)
    cookies = argument(_headers, default=None)
    auth = argument(credentials, default=None)
    hide_request_headers = argument(checks.texts, default=())
    hide_response_headers = argument(checks.texts, default=())
    timeout = argument(_timeout, default=60.0)
    allow_redirects = argument(checks.flag, default=None)
    verify = argument(_verified, default=True, rendered=False)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse *data* together with *json*: a request has one body.
        """
        if self.data is not None and self.json is not None:
            checker.note("data and json exclude each other.")

    async def run(self) -> Result:
        request = self._request()
        self.bench.write("log", self._shown_request(request))
        answer = await self.bench.http(request)
        if answer.error:
            self.bench.write("log", f"\n{answer.error}\n")
            return self.fail(f"{self.method} {_shown(self.url)}: {answer.error}")
        self.bench.write("log", self._shown_answer(answer))
        if answer.body:
            self.bench.write("content", answer.body)
        self.summary = f"Status code: {answer.status}"
        return Result.SUCCESS if answer.status < 400 else Result.FAILURE

    def _request(self) -> HttpRequest:
        headers = dict(self.headers or {})
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.json is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        return HttpRequest(
            method=self.method,
            url=self.url,
            params=self.params or (),
            headers=headers,
            form=self.data if isinstance(self.data, list) else None,
            body=encode(self.json).decode()
            if self.json is not None
            else self.data
            if isinstance(self.data, str)
            else None,
            auth=self.auth,
            timeout=self.timeout,
            follows=self.method != "HEAD" if self.allow_redirects is None else self.allow_redirects,
        )

    def _shown_request(self, request: HttpRequest) -> str:
        query = "".join(f"\nParameter: {name}={value}" for name, value in request.params)
        headers = list(request.headers.items()) + ([("Authorization", HIDDEN)] if request.auth else [])
        lines = _lines(headers, self.hide_request_headers)
        return f"{request.method} {_shown(request.url)}{_shown(query)}\n{_shown(lines)}"

    def _shown_answer(self, answer: HttpAnswer) -> str:
        lines = _lines([(name, value) for name, value in answer.headers], self.hide_response_headers)
        return f"\nStatus: {answer.status}\n{lines}"


def _lines(headers: list[tuple[str, str]], hidden: list[str]) -> str:
    names = {each.lower() for each in hidden} | _ALWAYS_HIDDEN
    return "".join(
        f"{name}: {HIDDEN if name.lower() in names or SECRET_REFERENCE.search(value) else value}\n"
        for name, value in headers
    )


def _shown(text: str) -> str:
    return without_passwords(SECRET_REFERENCE.sub("*****", text))


class POST(HTTPStep):
    """
    An `HTTPStep` with the method POST.
    """

    method = "POST"


class GET(HTTPStep):
    """
    An `HTTPStep` with the method GET.
    """

    method = "GET"


class PUT(HTTPStep):
    """
    An `HTTPStep` with the method PUT.
    """

    method = "PUT"


class DELETE(HTTPStep):
    """
    An `HTTPStep` with the method DELETE.
    """

    method = "DELETE"


class HEAD(HTTPStep):
    """
    An `HTTPStep` with the method HEAD.
    """

    method = "HEAD"


class OPTIONS(HTTPStep):
    """
    An `HTTPStep` with the method OPTIONS.
    """

    method = "OPTIONS"
