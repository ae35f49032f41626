"""The MCP server through real clients, over stdio and HTTP: the SDK's own and langchain-mcp-adapters."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from hopline.agent.hops.journal import Journal
from hopline.tools.fakes import spoken
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"
CHAIN = "text_to_speech | speech_to_text | text_to_image | image_captioning"
SERVICES = ["run_request", "plan_request", "list_tools", "fetch_artifact", "measure_loss"]
TRANSPORTS = ["stdio", "http"]

# The server over fakes, among them a heavy tool that hears no cancel, and one that prints where the protocol goes.
SERVER = """
import os, sys
from pathlib import Path
from hopline.agent import Agent
from hopline.agent.faces.mcp.transports import serve_http, serve_stdio
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.fakes import fake_registry

def noisy(text: str) -> str:
    "Prints where it should not, and gives the text on."
    print("noise", flush=True)
    os.write(1, b"more noise\\n")
    os.system("cat; echo even more noise")
    return text

transport, *folders = sys.argv[1:]
registry = fake_registry()
registry.add_function(noisy)
with Agent(registry=registry, profile=Profile(name="fakes"), journal=Journal()) as agent:
    if transport == "stdio":
        serve_stdio(agent, [Path(folder) for folder in folders])
    else:
        serve_http(agent, [Path(folder) for folder in folders], ready=lambda url: print(url, flush=True))
"""

Body = Callable[[ClientSession], Awaitable[None]]


def command(transport: str, *folders: Path) -> list[str]:
    return [sys.executable, "-c", SERVER, transport, *map(str, folders)]


@contextmanager
def http_server(*folders: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server on loopback, and its process."""
    process = subprocess.Popen(command("http", *folders), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        process.stdout.close()


@asynccontextmanager
async def session(transport: str, *folders: Path) -> AsyncIterator[ClientSession]:
    if transport == "stdio":
        words = command(transport, *folders)
        server = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
        async with stdio_client(server) as (read, write), ClientSession(read, write) as made:
            await made.initialize()
            yield made
    else:
        with http_server(*folders) as (url, _):
            async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as made:
                await made.initialize()
                yield made


def talk(transport: str, body: Body, *folders: Path) -> None:
    async def main() -> None:
        async with session(transport, *folders) as made:
            await asyncio.wait_for(body(made), 60)

    asyncio.run(main())


def said(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_list_plan_run_fetch_and_loss(transport: str) -> None:
    async def body(client: ClientSession) -> None:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools[:5]] == SERVICES
        assert {"speech_to_text", "text_to_speech", "sleep"} <= {tool.name for tool in tools}
        listed = await client.call_tool("list_tools", {})
        assert listed.structuredContent is not None
        assert listed.structuredContent["format"] == "hopline.tools/1"
        plan = await client.call_tool("plan_request", {"request": "Transcribe this recording.", "has": ["audio"]})
        assert plan.structuredContent is not None
        assert [step["tool"] for step in plan.structuredContent["steps"]] == ["speech_to_text"]

        heard: list[tuple[float, float | None, str | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, total, message))

        run = await client.call_tool(
            "run_request", {"request": "two red cars", "chain": CHAIN}, progress_callback=on_progress
        )
        assert not run.isError
        assert "two red cars" in said(run)
        record = run.structuredContent
        assert record is not None
        assert record["format"] == "hopline.run/1"
        assert [hop["tool"] for hop in record["hops"]] == CHAIN.split(" | ")
        numbers = [progress for progress, _, _ in heard]
        assert numbers == sorted(set(numbers)), "progress grows"
        assert [message for _, _, message in heard if message and message.endswith(": ok")] == [
            f"step{place} {tool}: ok" for place, tool in enumerate(CHAIN.split(" | "), start=1)
        ]

        image = next(output["sha256"] for output in record["outputs"] if output["modality"] == "image")
        fetched = await client.call_tool("fetch_artifact", {"id": image[:12]})
        assert isinstance(fetched.content[0], types.ImageContent)
        assert base64.b64decode(fetched.content[0].data)[:4] == b"\x89PNG"
        (resource,) = (await client.read_resource(AnyUrl(f"hopline://artifact/{image}"))).contents
        assert isinstance(resource, types.BlobResourceContents)
        assert resource.blob == fetched.content[0].data
        loss = await client.call_tool("measure_loss", {"run": record["run"]})
        assert loss.structuredContent is not None
        assert loss.structuredContent["format"] == "hopline.loss/1"
        assert "image_captioning: kept 3, altered 0" in said(loss)

    talk(transport, body)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_tool_by_itself_takes_ids_texts_and_bytes(transport: str) -> None:
    async def body(client: ClientSession) -> None:
        spoke = await client.call_tool("text_to_speech", {"text": "a blue house", "speed": 1.5})
        assert spoke.structuredContent is not None
        (hop,) = spoke.structuredContent["hops"]
        assert hop["parameters"] == {"speed": 1.5}
        sound = spoke.structuredContent["outputs"][0]["sha256"]
        by_id = await client.call_tool("speech_to_text", {"audio": sound})
        data = base64.b64encode(spoken("a blue house").data).decode()
        by_bytes = await client.call_tool("speech_to_text", {"audio": {"data": data, "name": "memo.wav"}})
        as_text = await client.call_tool("speech_to_text", {"audio": json.dumps({"artifact": sound})})
        assert "“a blue house”" in said(as_text), "the Inspector writes objects as text"
        spelled = await client.call_tool("no_op", {"text": json.dumps({"artifact": sound})})
        assert "artifact" in said(spelled).partition("“")[2], "a text is a text"
        assert "“a blue house”" in said(by_id)
        assert "“a blue house”" in said(by_bytes)
        assert by_bytes.structuredContent is not None
        assert by_bytes.structuredContent["hops"][0]["inputs"] == by_id.structuredContent["hops"][0]["inputs"]  # type: ignore[index]  # not None: the text was in it
        joined = await client.call_tool("join", {"text": ["one", {"artifact": by_id_text(by_id)}]})
        assert "one\na blue house" in said(joined)
        mine = await client.call_tool("fetch_artifact", {"id": sound})
        assert isinstance(mine.content[0], types.EmbeddedResource), "not an audio block: adapters raise at those"
        assert mine.content[0].resource.mimeType == "audio/wav"

    def by_id_text(result: types.CallToolResult) -> str:
        assert result.structuredContent is not None
        return str(result.structuredContent["outputs"][0]["sha256"])

    talk(transport, body)


def test_refusals_say_why_and_leave_no_run(home: Path) -> None:
    async def body(client: ClientSession) -> None:
        for name, given, wanted in (
            ("speech_to_text", {"audio": "../../etc/passwd"}, "no artifact is called"),
            ("speech_to_text", {"audio": {"file": "/etc/passwd"}}, "no files can be named here"),
            ("speech_to_text", {"audio": {"text": "x", "data": "eA=="}}, "exactly one of"),
            ("speech_to_text", {"audio": {"data": "not base64!"}}, "not base64"),
            ("speech_to_text", {"audio": {"data": base64.b64encode(b"<svg onload=x>").decode()}}, "markup"),
            ("speech_to_text", {"audio": {"text": "words"}}, "takes audio as 'audio', and this is text"),
            ("speech_to_text", {}, "required property"),
            ("text_to_speech", {"text": "x", "speed": 9}, "9 is greater than the maximum of 2.0"),
            ("run_request", {"request": "x", "attachments": [{"file": "/etc/passwd"}]}, "Additional properties"),
            ("run_request", {"request": "x", "chain": "teleport"}, "no tool 'teleport'"),
            ("run_request", {"request": "x", "plan": {"steps": 3}}, "the plan does not read"),
            ("measure_loss", {"run": "feedbeef"}, "no run is called"),
            ("fetch_artifact", {"id": "0" * 64}, "no artifact is called"),
            ("no_such_tool", {}, "there is no tool"),
        ):
            result = await client.call_tool(name, given)
            assert result.isError, name
            assert wanted in said(result), said(result)
        failed = await client.call_tool("fail", {"text": "x"})
        assert failed.isError
        assert "failed, on purpose" in said(failed)
        with pytest.raises(McpError, match="not an artifact"):
            await client.read_resource(AnyUrl("file:///etc/passwd"))

    talk("stdio", body)
    with Journal(home) as journal:
        assert [run.request for run in journal.runs()] == ["fail"]


def test_files_come_only_from_the_folders_that_were_named(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "memo.wav").write_bytes(spoken("two red cars").data)
    (inside / "link.wav").symlink_to(outside / "memo.wav")

    async def body(client: ClientSession) -> None:
        heard = await client.call_tool("speech_to_text", {"audio": {"file": "memo.wav"}})
        assert "“two red cars”" in said(heard)
        whole = await client.call_tool("speech_to_text", {"audio": {"file": str(inside / "memo.wav")}})
        assert not whole.isError
        for path in ("../out/memo.wav", str(outside / "memo.wav"), "link.wav", "memo.wav\0", "file:///etc/passwd"):
            refused = await client.call_tool("speech_to_text", {"audio": {"file": path}})
            assert refused.isError, path

    talk("stdio", body, inside)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_cancelled_call_kills_its_hop(transport: str, home: Path) -> None:
    async def body(client: ClientSession) -> None:
        children = psutil.Process().children(recursive=True)
        hung = asyncio.create_task(client.call_tool("sleep", {"text": "x", "report": False}, progress_callback=ignored))
        worker = await started(children)
        request = client._request_id - 1
        await client.send_notification(
            types.ClientNotification(
                types.CancelledNotification(params=types.CancelledNotificationParams(requestId=request))
            )
        )
        began = time.monotonic()
        with pytest.raises(McpError, match="cancelled"):
            await hung
        while worker.is_running() and time.monotonic() - began < 5:
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < 2
        after = await client.call_tool("no_op", {"text": "still here"})
        assert "still here" in said(after)

    async def ignored(progress: float, total: float | None, message: str | None) -> None:
        """Asked for, so that the request has a token."""

    async def started(before: list[psutil.Process]) -> psutil.Process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for process in psutil.Process().children(recursive=True):
                if process not in before and "hopline.agent.running.worker" in process.cmdline():
                    return process
            await asyncio.sleep(0.05)
        raise AssertionError("no worker began")

    talk(transport, body)
    with Journal(home) as journal:
        assert sorted(run.status for run in journal.runs()) == ["cancelled", "ok"]


def test_a_client_that_leaves_stops_its_run(home: Path) -> None:
    async def main() -> None:
        async with session("stdio") as client:
            asyncio.ensure_future(client.call_tool("sleep", {"text": "x", "report": False})).add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )
            await asyncio.sleep(1.5)

    asyncio.run(main())
    with Journal(home) as journal:
        (run,) = journal.runs()
        deadline = time.monotonic() + 5
        while journal.live(run.id) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not journal.live(run.id)


def test_stdout_carries_only_the_protocol() -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "noisy", "arguments": {"text": "x"}}},
    ]
    process = subprocess.Popen(command("stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(2)]
    out, err = process.communicate(timeout=20)
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["structuredContent"]["status"] == "ok"
    assert out == b""
    assert err.decode().count("noise") == 3
    assert process.returncode == 0


def test_http_refuses_other_hosts_origins_and_too_much() -> None:
    with http_server() as (url, _):
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode()

        def post(**headers: str) -> int:
            connection = http.client.HTTPConnection(url.split("/")[2], timeout=10)
            fixed = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
            connection.putrequest("POST", "/mcp", skip_host="Host" in headers)
            for name, value in ({"Content-Length": str(len(body))} | fixed | headers).items():
                connection.putheader(name, value)
            # Of a body that is too large nothing is sent: its length is enough to refuse it.
            connection.endheaders(None if "Content-Length" in headers else body)
            status = connection.getresponse().status
            connection.close()
            return status

        assert url.startswith("http://127.0.0.1:")
        assert post() == 200
        assert post(Origin="https://evil.example") == 403
        assert post(Host="evil.example") == 421
        assert post(**{"Content-Type": "text/plain"}) == 400
        assert post(**{"Content-Length": str(10**9)}) == 413


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_langchain_tools(transport: str) -> None:
    async def check(connection: dict[str, Any]) -> None:
        client = MultiServerMCPClient({"hopline": connection})  # type: ignore[dict-item]  # one of its typed dicts
        tools = {tool.name: tool for tool in await client.get_tools()}
        assert set(SERVICES) < set(tools)
        message = await tools["run_request"].ainvoke(
            {"type": "tool_call", "id": "1", "name": "run_request", "args": {"request": "two red cars", "chain": CHAIN}}
        )
        assert message.status == "success"
        assert "two red cars" in message.content[0]["text"]
        record = message.artifact["structured_content"]
        sound = next(o["sha256"] for o in record["outputs"] if o["modality"] == "audio")
        (block,) = await tools["fetch_artifact"].ainvoke({"id": sound})
        assert (block["type"], block["mime_type"]) == ("file", "audio/wav")
        (block,) = await tools["speech_to_text"].ainvoke({"audio": sound})
        assert "“two red cars”" in block["text"]
        (block,) = await tools["speech_to_text"].ainvoke({"audio": "nothing"})
        assert "no artifact" in block["text"]

    if transport == "stdio":
        words = command("stdio")
        asyncio.run(check({"transport": "stdio", "command": words[0], "args": words[1:], "env": dict(os.environ)}))
    else:
        with http_server() as (url, _):
            asyncio.run(check({"transport": "streamable_http", "url": url}))


@pytest.mark.models
def test_the_command_with_real_models() -> None:
    async def main() -> None:
        code = "from hopline.agent.faces.cli import main; main()"
        arguments = ["-P", "-c", code, "mcp", "--files-from", str(MEMO.parent)]
        server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
        async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
            await client.initialize()
            request = "Listen to the memo, draw what it describes, then describe the drawing aloud."
            run = await client.call_tool("run_request", {"request": request, "attachments": [{"file": "memo.m4a"}]})
            assert run.structuredContent is not None
            wanted = ["speech_to_text", "text_to_image", "image_captioning", "text_to_speech"]
            assert [hop["tool"] for hop in run.structuredContent["hops"]] == wanted
            assert "two red cars" in said(run)
            assert len(json.dumps(run.structuredContent)) < 60_000

    asyncio.run(main())
