"""Who may ask this server for what: a visitor's cookie, own uploads, own host name, a narrow door to Gradio."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from hopline.agent.faces.serve.host import Host, visitor_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "hopline_visitor"
_COOKIE_DAYS = 30
_WRONG_PASSWORD_S = 0.5
"""A wrong password is answered slowly."""
_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Gradio compiles its templates in the browser (`unsafe-eval`); nothing may come from elsewhere."""

_UPLOAD = "/gradio_api/upload"
_CALL = "/gradio_api/queue/join"
_LONGEST_CALL = 2_000_000

OPEN_API = (
    "queue/join",
    "queue/data",
    "upload",
    "upload_progress",
    "heartbeat",
    "reset",
    "cancel",
    "startup-events",
    "app_id",
)
"""What the page needs of Gradio's own interface; the rest (proxy, calls by name, custom code) is shut."""


class Guard:
    """ASGI middleware around the whole server.

    Args:
        app: what it protects.
        host: knows who uploaded what.
        names: host names under which the server may be asked, so that another site's name that
            points here (DNS rebinding) gets nothing; None for any, which only a password makes safe.
        password: asked of everybody, by HTTP Basic with any user name; empty for none.
    """

    def __init__(self, app: ASGIApp, *, host: Host, names: Iterable[str] | None, password: str = "") -> None:
        self._app = app
        self._host = host
        self._names = None if names is None else frozenset(names)
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        token = token_in(headers.get("cookie", ""))
        refusal = self._refusal(scope, headers, token)
        if refusal:
            if refusal[0] == 401:
                await asyncio.sleep(_WRONG_PASSWORD_S)
            await _refuse(send, *refusal)
            return
        if scope["path"] == _CALL:
            body = await _whole(receive)
            if body is None or not self._owns_all(visitor_of(token), body):
                await _refuse(send, 403, "Only files that you uploaded here can be attached.")
                return
            receive = _again(body, receive)
        fresh = "" if token else secrets.token_urlsafe(32)
        if fresh:
            # The page that is being made must see the visitor that its answer makes.
            scope["headers"] = [*scope["headers"], (b"cookie", f"{COOKIE}={fresh}".encode())]
        if scope["path"] == _UPLOAD:  # its answer is read here, so it must come uncompressed
            scope["headers"] = [(n, v) for n, v in scope["headers"] if n.lower() != b"accept-encoding"]
        await self._app(scope, receive, self._sender(send, scope, visitor_of(token or fresh), fresh))

    def _refusal(self, scope: Scope, headers: dict[str, str], token: str) -> tuple[int, str] | None:
        if self._names is not None and _name(headers.get("host", "")) not in self._names:
            return 421, "This server is not known under that name."
        if self._password and not hmac.compare_digest(_given_password(headers), self._password):
            return 401, "This server asks for its password."
        origin = headers.get("origin", "")
        if scope["method"] not in ("GET", "HEAD") and origin and urlsplit(origin).netloc != headers.get("host"):
            return 403, "That came from another site."
        path = scope["path"]
        if not path.startswith("/gradio_api/"):
            return None
        wanted = path.removeprefix("/gradio_api/")
        if not wanted.startswith("file=") and wanted.partition("/")[0] not in OPEN_API and wanted not in OPEN_API:
            return 404, "There is no such address."
        if wanted.startswith("file=") and not self._host.owns_upload(visitor_of(token), unquote(wanted[5:])):
            return 403, "That is not a file of yours."
        return None

    def _owns_all(self, visitor: str, body: bytes) -> bool:
        """Every file that a call of the page names is an upload of its visitor.

        Gradio would fetch an address that stands where a path should.
        """
        try:
            paths = list(_named_files(json.loads(body)))
        except (ValueError, RecursionError):
            return False
        return all(isinstance(path, str) and self._host.owns_upload(visitor, path) for path in paths)

    def _sender(self, send: Send, scope: Scope, visitor: str, fresh: str) -> Send:
        uploading = scope["path"] == _UPLOAD
        body = bytearray()

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                for name, value in _headers(fresh, html=any(b"text/html" in value for _, value in headers)):
                    if name not in present or name == b"set-cookie":
                        headers.append((name, value))
                message = {**message, "headers": headers}
            elif uploading and message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._host.uploaded(visitor, _paths(bytes(body)))
            await send(message)

        return sender


def _given_password(headers: Mapping[str, str]) -> bytes:
    """The password of HTTP Basic; empty when there is none."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def token_in(cookies: str) -> str:
    """The visitor's token in a Cookie header; empty when there is none."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found and _TOKEN.fullmatch(found.value) else ""


def _headers(fresh: str, *, html: bool) -> Iterable[tuple[bytes, bytes]]:
    yield b"content-security-policy", POLICY.encode()
    yield b"x-content-type-options", b"nosniff"
    yield b"referrer-policy", b"no-referrer"
    yield b"cross-origin-resource-policy", b"same-origin"
    if html:
        yield b"cache-control", b"no-store"
        if fresh:
            seconds = _COOKIE_DAYS * 24 * 3600
            yield b"set-cookie", f"{COOKIE}={fresh}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict".encode()


def _name(host: str) -> str:
    """The host name without its port."""
    return (urlsplit(f"//{host}").hostname or "") if host else ""


def _paths(body: bytes) -> list[str]:
    """What Gradio answers to an upload: a JSON list of paths; none when it refused."""
    try:
        found = json.loads(body)
    except ValueError:
        return []
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []


def _named_files(value: Any) -> Iterator[Any]:
    """Whatever stands under `path` in the JSON of a call, at any depth."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _named_files(inner)


async def _whole(receive: Receive) -> bytes | None:
    """The body of a request; None when it is too long for words and names of files."""
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > _LONGEST_CALL:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already, then what comes after it."""
    kept: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiver() -> Message:
        return kept.pop() if kept else await receive()

    return receiver


async def _refuse(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="hopline", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
