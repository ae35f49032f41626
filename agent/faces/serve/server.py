"""The web server: a port on loopback, the page, media by address, and a clean end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hopline.agent import Agent
from hopline.agent.faces.serve.guard import COOKIE, Guard, token_in
from hopline.agent.faces.serve.host import Host, visitor_of
from hopline.agent.faces.serve.reports import reports_in
from hopline.agent.views.gallery import SHOWN_TYPES
from hopline.tools.errors import HoplineError, MissingExtra, UserError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

LOOPBACK = "127.0.0.1"
SHORTEST_PASSWORD = 12
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_MEDIA_POLICY = "default-src 'none'; sandbox; frame-ancestors 'self'"
# A report carries its pictures and sounds in itself, and no script; its own policy is narrower still.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; sandbox; frame-ancestors 'self'"
)


def only_this_machine(host: str) -> bool:
    """Whether an address to listen on can be reached from nowhere else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_port(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything slow is imported.

    Args:
        host: address to listen on.
        port: 0 for any that is free.

    Raises:
        UserError: the port is taken, or cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(128)
    except (OSError, OverflowError) as error:
        opened.close()
        why = "is taken" if isinstance(error, OSError) and error.errno == 98 else f"cannot be had ({error})"
        raise UserError(f"port {port} on {host} {why}.", hint="Choose another: hopline serve --port N") from None
    return opened


@contextmanager
def serving(
    agent: Agent, listening: socket.socket, *, reports: Path | None = None, password: str = ""
) -> Iterator[uvicorn.Server]:
    """A server that is ready to `run(sockets=[listening])`; stops its runs and removes its uploads at the end.

    Args:
        agent: serves every visitor.
        listening: from `open_port`.
        reports: folder whose experiment reports are shown; None for none.
        password: asked of everybody; may be left out only where nobody else reaches this machine's port.

    Raises:
        MissingExtra: Gradio is not installed.
        UserError: other machines reach the port, and the password is shorter than `SHORTEST_PASSWORD`.
    """
    address = listening.getsockname()[0]
    if not only_this_machine(address) and len(password) < SHORTEST_PASSWORD:
        raise UserError(f"{address} is open to others: a password of {SHORTEST_PASSWORD} characters or more is needed.")
    # Nothing is asked of any network, and uploads lie where only this server looks.
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory(prefix="hopline-uploads-") as uploads:
        before = {name: os.environ.get(name) for name in (*quiet, "GRADIO_TEMP_DIR")}
        os.environ.update(quiet, GRADIO_TEMP_DIR=uploads)
        try:
            import uvicorn

            host = Host(agent, reports=reports)
            try:
                names = {*_LOCAL_NAMES, address} if only_this_machine(address) else None
                app = Guard(_made_in_a_loop(host), host=host, names=names, password=password)
                # The journal tells what happened; uvicorn's own log says only what fails.
                config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1)
                yield uvicorn.Server(config)
            finally:
                host.close()
        except ImportError as error:
            raise MissingExtra(f"the web page needs Gradio ({error}).", hint="pip install 'hopline[web]'") from None
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _made_in_a_loop(host: Host) -> FastAPI:
    """The application; where no loop runs, Gradio would make several and never close them."""

    async def made() -> FastAPI:
        return application(host)

    with ThreadPoolExecutor(max_workers=1) as apart:
        return apart.submit(asyncio.run, made()).result()


def application(host: Host) -> FastAPI:
    """The routes: artifacts and reports of ours, and Gradio's page."""
    import gradio
    from fastapi import FastAPI
    from hopline.agent.faces.serve.page import blocks, page_css, page_head, theme
    from hopline.tools.home import MEBIBYTE, limits

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_api_route("/artifacts/{run_id}/{artifact_id}", _artifact_route(host), methods=["GET", "HEAD"])
    app.add_api_route("/reports/{report_id}", _report_route(host), methods=["GET", "HEAD"])
    gradio.mount_gradio_app(
        app,
        blocks(host),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=int(limits().max_file_mib * MEBIBYTE),
        ssr_mode=False,
        theme=theme(),
        css=page_css(),
        head=page_head(),
    )
    return app


def _artifact_route(host: Host) -> Callable[..., object]:
    from fastapi import Request
    from fastapi.responses import FileResponse, PlainTextResponse, Response

    def artifact(run_id: str, artifact_id: str, request: Request) -> Response:
        visitor = visitor_of(token_in(f"{COOKIE}={request.cookies.get(COOKIE, '')}"))
        try:
            ref = host.artifact(visitor, run_id, artifact_id)
        except HoplineError as error:
            return PlainTextResponse(str(error), status_code=404)
        path = host.agent.journal.store.path(ref.id, ref.media_type)
        if not path.is_file():
            return PlainTextResponse("The file is gone from the store.", status_code=404)
        shown = ref.media_type in SHOWN_TYPES
        return FileResponse(
            path,
            media_type=ref.media_type if shown else "application/octet-stream",
            filename=path.name,
            content_disposition_type="inline" if shown else "attachment",
            headers={"Content-Security-Policy": _MEDIA_POLICY, "Cache-Control": "private, max-age=3600"},
        )

    # FastAPI reads the annotations of a route; they are strings here and its names are local.
    artifact.__annotations__ = {"run_id": str, "artifact_id": str, "request": Request, "return": Response}
    return artifact


def _report_route(host: Host) -> Callable[..., object]:
    from fastapi.responses import FileResponse, PlainTextResponse, Response

    def report(report_id: str) -> Response:
        found = {one.id: one for one in reports_in(host.reports)}.get(report_id)
        if found is None:
            return PlainTextResponse("There is no such report.", status_code=404)
        return FileResponse(found.page, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})

    report.__annotations__ = {"report_id": str, "return": Response}
    return report
