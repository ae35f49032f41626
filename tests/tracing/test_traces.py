"""Traces: what a file holds, read back by the types of OpenTelemetry; parents, secrets, media, LangChain, endpoints."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.agent.tracing import attributes as named
from hopline.agent.tracing.scrubbing import HIDDEN, Scrub
from hopline.agent.tracing.tracing import export_traces
from hopline.tools import tool
from hopline.tools.errors import BadInput, BadPlan
from hopline.tools.fakes import fake_registry, spoken
from hopline.tools.fakes.ollama import Model, OllamaServer, words
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

CHAIN = "text_to_speech | speech_to_text | text_to_image | image_captioning"
SECRET = "correct-horse-battery-staple"


def agent(traces: object = None, profile: Profile | None = None) -> Agent:
    return Agent(registry=fake_registry(), profile=profile or Profile(name="fakes"), journal=Journal(), traces=traces)


def base64_ids(value: Any) -> Any:
    """OTLP/JSON has ids in hexadecimal; the JSON of Protocol Buffers has base64."""
    if isinstance(value, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64encode(bytes.fromhex(inner)).decode() if key in ids else base64_ids(inner)
            for key, inner in value.items()
        }
    return [base64_ids(inner) for inner in value] if isinstance(value, list) else value


def context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(int.from_bytes(trace_id), int.from_bytes(span_id), is_remote=False, trace_flags=TraceFlags(1))


def readable(span: ProtoSpan, resource: Mapping[str, Any]) -> ReadableSpan:
    """A span of the SDK from one of the protocol."""
    attributes = {pair.key: value_of(pair.value) for pair in span.attributes}
    return ReadableSpan(
        name=span.name,
        context=context(span.trace_id, span.span_id),
        parent=context(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
        resource=Resource(resource),
        attributes=attributes,
        kind=SpanKind(span.kind - 1),
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
    )


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(inner) for inner in value.array_value.values]
    return getattr(value, kind)


def spans_in(path: Path) -> list[ReadableSpan]:
    found = []
    for line in path.read_text("utf-8").splitlines():
        request = ParseDict(base64_ids(json.loads(line)), ExportTraceServiceRequest())
        for of_resource in request.resource_spans:
            resource = {pair.key: value_of(pair.value) for pair in of_resource.resource.attributes}
            found += [readable(span, resource) for scope in of_resource.scope_spans for span in scope.spans]
    return found


def tree(spans: list[ReadableSpan]) -> dict[str, str | None]:
    """Name of the parent by name; names must be unique, and every parent there."""
    names = {span.context.span_id: span.name for span in spans}
    assert len(set(names.values())) == len(spans)
    return {span.name: names[span.parent.span_id] if span.parent else None for span in spans}


def test_four_hops_in_a_file_are_one_tree(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "traces.jsonl"
    with agent(file) as made:
        run = made.run("two red cars", chain=CHAIN)
        hops_made, conversation = run.hops, run.record.conversation
    spans = spans_in(file)
    top = "invoke_workflow hopline"
    hops = [f"execute_tool {name}" for name in CHAIN.split(" | ")]
    assert tree(spans) == dict.fromkeys(hops, top) | {top: None}
    assert len({span.context.trace_id for span in spans}) == 1
    by_name = {span.name: span for span in spans}
    for span, hop in zip([by_name[name] for name in hops], hops_made, strict=True):
        assert span.attributes is not None
        assert span.attributes["openinference.span.kind"] == "TOOL"
        assert span.attributes["gen_ai.operation.name"] == "execute_tool"
        assert span.attributes["gen_ai.tool.name"] == hop.tool == span.attributes["tool.name"]
        assert span.attributes["hopline.hop.id"] == hop.id
        assert hop.output_list[0].id in str(span.attributes["output.value"])
        assert span.status.status_code is StatusCode.OK
        assert span.start_time is not None
        assert span.end_time is not None
        assert by_name[top].start_time <= span.start_time <= span.end_time <= by_name[top].end_time  # type: ignore[operator]  # both are there
        assert span.end_time - span.start_time == pytest.approx(1e6 * ((hop.duration_ms or 0) + (hop.load_ms or 0)))
    assert by_name[top].resource.attributes["service.name"] == "hopline"
    attributes = by_name[top].attributes or {}
    assert attributes["hopline.run.id"] == run.id
    assert attributes["session.id"] == attributes["gen_ai.conversation.id"] == conversation
    assert attributes["hopline.plan.tools"] == CHAIN.split(" | ")


def test_a_stored_run_gives_the_same_spans(tmp_path: Path) -> None:
    live, stored = tmp_path / "live.jsonl", tmp_path / "stored.jsonl"
    with agent(live) as made:
        run = made.run("x", chain="relay | consult")
        export_traces(made.journal, run.id, stored)
    first, second = spans_in(live), spans_in(stored)
    assert tree(first) == tree(second)
    assert tree(first)["execute_tool no_op"] == "execute_tool relay"
    assert tree(first)["chat none"] == "execute_tool consult"
    assert {s.name: s.attributes for s in first} == {s.name: s.attributes for s in second}


def test_failures_and_cached_and_skipped_hops_have_spans(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    with agent(file) as made:
        made.run("x", chain="no_op")
        made.run("x", chain="no_op")
        failed = made.run("x", chain="fail | dice")
        assert failed.status == "failed"
    again, fail, skipped, top = (
        [span for span in spans_in(file) if span.name.endswith(name)][-1]
        for name in ("no_op", "fail", "dice", "hopline")
    )
    assert again.attributes is not None
    assert again.attributes["hopline.cached_from"] == 1
    assert (fail.status.status_code, fail.status.description) == (StatusCode.ERROR, "failed, on purpose.")
    assert fail.attributes is not None
    assert fail.attributes["error.type"] == "input_refused"
    assert skipped.attributes is not None
    assert skipped.attributes["hopline.status"] == "skipped"
    assert top.status.status_code is StatusCode.ERROR


def test_nothing_is_traced_unless_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with agent() as made:
        assert made.run("x", chain="no_op").spans is None
    monkeypatch.setenv("HOPLINE_TRACES", "asked.jsonl")
    with agent() as made:
        made.run("x", chain="no_op")
    assert len(spans_in(tmp_path / "asked.jsonl")) == 2
    monkeypatch.delenv("HOPLINE_TRACES")
    with agent(profile=Profile(name="traced", traces="profile.jsonl")) as made:
        made.run("y", chain="no_op")
    assert len(spans_in(tmp_path / "profile.jsonl")) == 2


@tool
def leak(text: str, api_key: str = "", note: str = "") -> str:
    """Fails, and says more than it should."""
    raise ValueError(f"login with {os.environ['TEST_API_KEY']} at http://me:pass4word@host/ failed")


def test_no_media_no_secrets_and_texts_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", SECRET)
    looks = "sk-proj-abcdefghijklmnop1234"
    media = spoken("two red cars and one very particular zebra")

    def traced(name: str) -> str:
        file = tmp_path / name
        registry = fake_registry()
        registry.add_function(leak)
        with Agent(registry=registry, profile=Profile(name="fakes"), journal=Journal(), traces=file) as made:
            made.run("the zebra", [media], chain="speech_to_text | text_to_image")
            step = {
                "id": "s",
                "tool": "leak",
                "inputs": {"text": [{"text": f"zebra {SECRET}"}]},
                "parameters": {"api_key": "anything at all", "note": f"Bearer abcdef123456 {looks}"},
            }
            assert made.run("leak the zebra", plan={"steps": [step]}).status == "failed"
        return file.read_text("utf-8")

    quiet = traced("quiet.jsonl")
    assert "zebra" not in quiet
    monkeypatch.setenv("HOPLINE_TRACE_CONTENT", "1")
    full = traced("full.jsonl")
    assert "one very particular zebra" in full
    assert "leak the zebra" in full
    for text in (quiet, full):
        assert HIDDEN in text
        for secret in (SECRET, "pass4word", "anything at all", "abcdef123456", looks):
            assert secret not in text
        for data in (media.data, *(path.read_bytes() for path in (tmp_path / "home").rglob("*.png"))):
            assert base64.b64encode(data[:60]).decode()[:70] not in text
        assert media.id in text
        assert max(len(line) for line in text.splitlines()) < 20_000


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("max_tokens=5 keyboard", "max_tokens=5 keyboard"),
        (f"a {SECRET}.", f"a {HIDDEN}."),
        ("https://user:pw@host/x", f"https://{HIDDEN}@host/x"),
        ("https://host/x@y", "https://host/x@y"),
        ("Authorization: Bearer abcdefghij", f"Authorization: Bearer {HIDDEN}"),
        ("hf_abcdefghijklmnopqrst", HIDDEN),
        ("", ""),
    ],
)
def test_scrubbing(text: str, clean: str) -> None:
    scrub = Scrub({"MY_TOKEN": SECRET, "SHORT_KEY": "abc", "TOKENIZERS_PARALLELISM": "keyboard"})
    assert scrub.text(text) == clean
    assert scrub.value({"x": [text]}) == {"x": [clean]}


def test_scrubbing_by_name() -> None:
    given = {
        "api_key": "a",
        "apiKey": "b",
        "x-api-key": "c",
        "password": "d",
        "max_tokens": 5,
        "key": "",
        "monkey": "e",
    }
    assert Scrub({}).value(given) == {
        "api_key": HIDDEN, "apiKey": HIDDEN, "x-api-key": HIDDEN, "password": HIDDEN,
        "max_tokens": 5, "key": "", "monkey": "e",
    }  # fmt: skip


def test_names_are_those_of_the_conventions() -> None:
    from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    known = {getattr(SpanAttributes, name) for name in dir(SpanAttributes) if name.isupper()}
    known |= {value for name, value in vars(gen_ai_attributes).items() if name.isupper()}
    source = Path(named.__file__).read_text("utf-8")
    used = {line.split('"')[1] for line in source.splitlines() if line.startswith('            "')}
    ours = {name for name in used if name.startswith("hopline.")} | {"error.type"}
    assert used - ours - known == set()
    assert len(used & known) > 20
    assert {named.CHAIN, named.TOOL, named.LLM} <= {kind.value for kind in OpenInferenceSpanKindValues}


def test_an_endpoint_gets_the_spans(httpserver: HTTPServer) -> None:
    got: list[ExportTraceServiceRequest] = []

    def take(request: Request) -> Response:
        got.append(ExportTraceServiceRequest.FromString(request.get_data()))
        return Response(status=200)

    httpserver.expect_request("/v1/traces", method="POST").respond_with_handler(take)
    with agent(httpserver.url_for("/")) as made:
        made.run("x", chain="no_op | dice")
    spans = [span for request in got for found in request.resource_spans for s in found.scope_spans for span in s.spans]
    assert [span.name for span in spans] == ["execute_tool no_op", "execute_tool dice", "invoke_workflow hopline"]


def test_an_endpoint_that_is_gone_costs_a_run_nothing() -> None:
    began = time.monotonic()
    with agent("http://127.0.0.1:9/v1/traces") as made:
        assert made.run("x", chain="no_op").status == "ok"
        assert time.monotonic() - began < 3
    assert time.monotonic() - began < 8


def test_traces_leave_the_machine_only_where_the_profile_allows_it(tmp_path: Path) -> None:
    with pytest.raises(BadPlan, match=r"traces to example\.com leave this machine"):
        agent("https://example.com/v1/traces")
    with agent("https://example.com/v1/traces", Profile(name="open", remote=True)):
        """Nothing was traced, so nothing is sent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        agent(tmp_path / "file" / "traces.jsonl")


@pytest.fixture
def provider() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """A provider of the person's own, with LangChain instrumented on it."""
    from openinference.instrumentation.langchain import LangChainInstrumentor

    exporter = InMemorySpanExporter()
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    LangChainInstrumentor().instrument(tracer_provider=made)
    yield made, exporter
    LangChainInstrumentor().uninstrument()


def test_inside_langchain_a_hop_is_a_child_of_its_run(
    provider: tuple[TracerProvider, InMemorySpanExporter],
) -> None:
    from langchain.tools import tool as langchain_tool
    from langchain_core.runnables import RunnableLambda

    made, exporter = provider
    with agent(made) as hopline:

        @langchain_tool
        def ask(request: str) -> str:
            """Asks hopline."""
            return hopline.run(request, chain="text_to_speech | speech_to_text").outputs[-1].text

        chain = RunnableLambda(lambda text: ask.invoke({"request": text})).with_config(run_name="mine")
        assert chain.invoke("two red cars") == "two red cars"
        assert chain.batch(["one red car", "a cat"]) == ["one red car", "a cat"]
    spans = list(exporter.get_finished_spans())
    traces = {span.context.trace_id for span in spans}
    assert len(traces) == 3
    for trace_id in traces:
        assert tree([span for span in spans if span.context.trace_id == trace_id]) == {
            "mine": None,
            "ask": "mine",
            "invoke_workflow hopline": "ask",
            "execute_tool text_to_speech": "invoke_workflow hopline",
            "execute_tool speech_to_text": "invoke_workflow hopline",
        }


def test_a_run_below_a_span_of_the_person(provider: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    made, exporter = provider
    with agent(made) as hopline, made.get_tracer("mine").start_as_current_span("mine"):
        hopline.start("x", chain="no_op").wait()
    assert tree(list(exporter.get_finished_spans())) == {
        "mine": None,
        "invoke_workflow hopline": "mine",
        "execute_tool no_op": "invoke_workflow hopline",
    }


def test_hops_that_a_model_decides_are_children_of_their_run(
    provider: tuple[TracerProvider, InMemorySpanExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hop-by-hop agent runs its hops inside LangChain."""
    made, exporter = provider
    turns = [
        {"tool": "text_to_speech", "arguments": {"text": "two red cars"}},
        {"tool": "finish", "arguments": {"answer": "Done."}},
    ]

    def script(request: Mapping[str, Any]) -> Any:
        return words(json.dumps(turns.pop(0) if len(turns) > 1 else turns[0]))

    with OllamaServer(models={"small:latest": Model(capabilities=("completion",))}, script=script) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        profile = Profile(name="acting", chat="ollama:small")
        with agent(made, profile) as hopline:
            run = hopline.run("Say two red cars aloud.", planner="agent")
            made_hops, record = run.hops, run.record
    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    hops = [span for span in spans.values() if span.name == "execute_tool text_to_speech"]
    assert len(hops) == len(made_hops) == 1, record
    assert hops[0].parent is not None
    top = spans[hops[0].parent.span_id]
    assert top.name == "invoke_workflow hopline"
    asked = [span for span in spans.values() if span.name.startswith("chat ")]
    assert {span.name for span in asked} == {"chat small"}
    assert len(asked) == 2
    assert all(span.parent is not None and span.parent.span_id == top.context.span_id for span in asked)
    assert all((span.attributes or {})["gen_ai.provider.name"] == "ollama" for span in asked)
    assert all((span.attributes or {})["gen_ai.usage.output_tokens"] == 1 for span in asked)


def test_the_command_line(tmp_path: Path) -> None:
    tools = tmp_path / "mine.py"
    tools.write_text("from hopline.tools import tool\n\n@tool\ndef shout(text: str) -> str:\n    return text.upper()\n")

    def hopline(*words: object) -> None:
        code = "from hopline.agent.faces.cli import main; main()"
        subprocess.run([sys.executable, "-P", "-c", code, *map(str, words)], check=True, capture_output=True)

    live, stored = tmp_path / "live.jsonl", tmp_path / "stored.jsonl"
    hopline("run", "hello", "--chain", "shout", "--tools-from", tools, "--traces", live)
    hopline("export", "last", stored, "--traces")
    wanted = {"execute_tool shout": "invoke_workflow hopline", "invoke_workflow hopline": None}
    assert tree(spans_in(live)) == tree(spans_in(stored)) == wanted
