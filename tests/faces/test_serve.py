"""The web page without a browser: turns, visitors, uploads, and who may ask for what."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from hopline.agent import Agent
from hopline.agent.faces.serve.host import Host
from hopline.agent.faces.serve.line import WAITING_EACH, Job, Line
from hopline.agent.faces.serve.reports import reports_in
from hopline.agent.faces.serve.showing import PARTS, run_parts
from hopline.agent.hops.journal import Journal
from hopline.agent.planning.plan import FromAttachment
from hopline.agent.running.profile import Profile
from hopline.tools.errors import BadInput, NotFound, UserError
from hopline.tools.fakes import fake_registry, spoken
from hopline.tools.home import limits

if TYPE_CHECKING:
    from tests.faces.conftest import Serve, Visitor

Wait = Callable[..., None]
Visits = Callable[[str], "Visitor"]

HEARD = "three red cats sit left of a blue house"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal()) as made:
        yield made


@pytest.fixture
def host(agent: Agent) -> Iterator[Host]:
    made = Host(agent)
    yield made
    made.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


# -- the line ------------------------------------------------------------------------------------


def job(visitor: str, name: str, done: list[str], gate: threading.Event | None = None) -> Job:
    def work(it: Job) -> None:
        if gate is not None:
            assert gate.wait(20)
        done.append(name)

    return Job(visitor=visitor, request=name, work=work)


def test_visitors_take_turns_whoever_asked_first(line: Line, wait_until: Wait) -> None:
    gate, done = threading.Event(), list[str]()
    first = job("a", "a1", done, gate)
    line.submit(first)
    wait_until(lambda: first.stage != "waiting")
    jobs = [job(name[0], name, done) for name in ("a2", "a3", "a4", "b1", "c1", "b2")]
    for one in jobs:
        line.submit(one)
    assert {one.request: line.ahead(one) for one in jobs} == {"a2": 3, "a3": 5, "a4": 6, "b1": 1, "c1": 2, "b2": 4}
    gate.set()
    wait_until(lambda: all(one.ended for one in jobs))
    assert done == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_a_row_is_limited_and_a_job_that_waits_can_be_taken_out(line: Line, wait_until: Wait) -> None:
    gate, done = threading.Event(), list[str]()
    first = job("a", "a0", done, gate)
    line.submit(first)
    wait_until(lambda: first.stage != "waiting")
    jobs = [job("a", f"a{n + 1}", done) for n in range(WAITING_EACH)]
    for one in jobs:
        line.submit(one)
    with pytest.raises(UserError, match="waiting already"):
        line.submit(job("a", "one too many", done))
    line.submit(job("b", "b1", done))  # somebody else still may
    line.cancel(jobs[2])
    assert jobs[2].ended
    assert jobs[2].error == "Stopped before it began."
    gate.set()
    wait_until(lambda: jobs[-1].ended)
    assert done == ["a0", "b1", "a1", "a2", "a4", "a5"]


def test_a_bug_in_one_job_does_not_end_the_line(line: Line, wait_until: Wait) -> None:
    def work(it: Job) -> None:
        raise ZeroDivisionError("oh")

    bad, done = Job(visitor="a", request="bad", work=work), list[str]()
    good = job("a", "good", done)
    line.submit(bad)
    line.submit(good)
    wait_until(lambda: good.ended)
    assert bad.error == "A bug in hopline: ZeroDivisionError: oh"
    assert good.error == ""
    assert 0 < good.took_s < 20


def test_closing_stops_what_runs(wait_until: Wait) -> None:
    line = Line()
    seen = threading.Event()

    def work(it: Job) -> None:
        seen.set()
        assert it.cancelled.wait(20)

    running, done = Job(visitor="a", request="r", work=work), list[str]()
    waiting = job("b", "w", done)
    line.submit(running)
    line.submit(waiting)
    assert seen.wait(20)
    line.close()
    assert running.ended
    assert waiting.ended
    assert done == []


# -- visitors ------------------------------------------------------------------------------------


def uploaded(host: Host, visitor: str, folder: Path, name: str = "memo.wav", data: bytes = b"") -> str:
    path = folder / name
    path.write_bytes(data or spoken(HEARD).data)
    host.uploaded(visitor, [str(path)])
    return str(path)


def asked(host: Host, visitor: str, words: str, wait_until: Wait, uploads: list[str] | None = None) -> Job:
    made = host.ask(visitor, words, uploads or [])
    wait_until(lambda: made.ended)
    assert made.error == ""
    return made


@pytest.mark.models
def test_neither_visitor_sees_the_other(host: Host, tmp_path: Path, wait_until: Wait) -> None:
    one = asked(host, "one", "Transcribe the recording.", wait_until, [uploaded(host, "one", tmp_path)])
    two = asked(host, "two", "Say good morning aloud.", wait_until)
    assert [r.id for r in host.runs("one")] == [one.run]
    assert [r.id for r in host.runs("two")] == [two.run]
    run = host.run("one", one.run)
    (text,) = run.record.outputs
    assert host.artifact("one", one.run, text.id) == text
    with pytest.raises(NotFound):
        host.artifact("two", one.run, text.id)
    with pytest.raises(NotFound):
        host.artifact("one", two.run, text.id)
    for refused in (host.run, host.go_on_from):
        with pytest.raises(NotFound):
            refused("two", one.run)
    with pytest.raises(NotFound):
        host.replay("two", one.run, "step1", "speech_to_text:fake")
    with pytest.raises(NotFound):
        host.run("one", one.run[:4])
    assert host.job("two", one.id) is None
    assert not (tmp_path / "memo.wav").exists(), "what was attached lies in the store now"


@pytest.mark.models
def test_a_follow_up_refers_to_what_was_made_until_a_new_conversation(
    host: Host, tmp_path: Path, wait_until: Wait
) -> None:
    first = asked(host, "one", "Transcribe the recording.", wait_until, [uploaded(host, "one", tmp_path)])
    again = asked(host, "one", "Transcribe the recording again.", wait_until)
    asks = host.run("one", again.run)
    assert asks.plan is not None
    assert [step.inputs["audio"] for step in asks.plan.steps] == [(FromAttachment(attachment="run1.audio1"),)]
    assert asks.outputs[0].text == HEARD
    host.new_conversation("one")
    alone = asked(host, "one", "Say good evening aloud.", wait_until)
    assert host.run("one", alone.run).record.position == 1
    host.go_on_from("one", first.run)
    assert host.run("one", asked(host, "one", "Say good night aloud.", wait_until).run).record.position == 3


@pytest.mark.models
def test_uploads_belong_to_who_made_them(host: Host, tmp_path: Path) -> None:
    mine = uploaded(host, "one", tmp_path)
    with pytest.raises(BadInput, match="uploaded here"):
        host.ask("two", "Transcribe it.", [mine])
    with pytest.raises(BadInput, match="uploaded here"):
        host.ask("one", "Transcribe it.", [mine, "/etc/passwd"])
    assert Path(mine).exists()
    markup = uploaded(host, "one", tmp_path, "page.html", b"<html><script>alert(1)</script></html>")
    with pytest.raises(BadInput, match="markup"):
        host.ask("one", "Read it.", [markup])
    assert not Path(markup).exists()
    with pytest.raises(UserError, match="in words"):
        host.ask("one", "  ", [mine])
    assert host.runs("one") == []


def test_a_replay_is_offered_made_and_shown_beside_the_run(agent: Agent, host: Host, wait_until: Wait) -> None:
    chain = "text_to_speech:fake | speech_to_text:fake"
    before = agent.run(HEARD, chain=chain, labels={"visitor": "one"})
    assert host.swaps(before) == [], "each tool has one fake"
    job = host.replay("one", before.id, "step1", "text_to_speech:fake:drop=0.5")
    wait_until(lambda: job.ended)
    after = host.run("one", job.run)
    assert [hop.backend for hop in after.hops] == ["text_to_speech:fake:drop=0.5", "speech_to_text:fake"]
    found = host.replayed("one", after)
    assert found is not None
    assert found.id == before.id
    assert host.replayed("one", before) is None
    assert host.replayed("two", after) is None
    parts = run_parts(after, host.loss(after), (before, host.loss(before)))
    assert tuple(parts) == PARTS
    side = parts["compare"]
    assert side.count('<div class="hl-sides">') == 2
    assert f'href="?run={before.id}">Before</a>, run {before.id}' in side
    assert "text_to_speech:fake:drop=0.5" in side
    assert HEARD in side
    assert "Facts that ended elsewhere" in side
    assert "not a measure of the backends" in side
    assert run_parts(before, host.loss(before))["compare"] == ""


def test_a_replay_that_changes_nothing_says_so(agent: Agent, host: Host, wait_until: Wait) -> None:
    before = agent.run(HEARD, chain="text_to_speech:fake", labels={"visitor": "one"})
    job = host.replay("one", before.id, "step1", "text_to_speech:fake")
    wait_until(lambda: job.ended)
    after = host.run("one", job.run)
    side = run_parts(after, host.loss(after), (before, host.loss(before)))["compare"]
    assert "The same on both sides: text to speech." in side
    assert "hl-sides" not in side


# -- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def address(agent: Agent, serve: Serve, monkeypatch: pytest.MonkeyPatch, written_report: Path) -> Iterator[str]:
    monkeypatch.setenv("HOPLINE_MAX_FILE_MIB", "5")
    limits.cache_clear()
    with serve(agent, reports=written_report.parent) as found:
        yield found


def test_first_visit_makes_a_visitor_and_tells_the_browser_what_it_may_do(address: str, visitor: Visits) -> None:
    guest = visitor(address)
    cookie = guest.first.headers["set-cookie"]
    assert cookie.startswith("hopline_visitor=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    policy = guest.first.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert guest.first.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in guest.http.get("/").headers


def test_another_sites_name_and_another_sites_page_get_nothing(address: str) -> None:
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
    assert httpx.get(address, headers={"host": "localhost"}).status_code == 200
    for origin, status in (("http://evil.example", 403), ("null", 403), (address, 404)):
        answer = httpx.post(f"{address}/gradio_api/nothing", headers={"origin": origin})
        assert answer.status_code == status


SHUT = (
    "info openapi.json proxy=http://127.0.0.1:9/ call/x run/x api/x component_server queue/status token user vibe-code "
    "stream/a/1/2/playlist.m3u8 dev/reload runs run-history/records custom_component/a/b/c/d process_recording "
    "deep_link profiling/summary file/etc/passwd"
)


def test_the_rest_of_gradios_interface_is_shut(address: str) -> None:
    with httpx.Client(base_url=f"{address}/gradio_api/") as client:
        answers = {path: (client.get(path).status_code, client.post(path).status_code) for path in SHUT.split()}
    assert answers == dict.fromkeys(SHUT.split(), (404, 404))


NOT_YOURS = (
    "/etc/passwd %2e%2e/%2e%2e/%2e%2e/etc/passwd ..%2f..%2fetc%2fpasswd README.md pyproject.toml . "
    "http://127.0.0.1:9/x.png https://example.org/x.png file:///etc/passwd %00/etc/passwd " + 5000 * "x"
)


def test_files_that_nobody_uploaded_are_not_given(address: str, visitor: Visits) -> None:
    guest = visitor(address)
    for path in NOT_YOURS.split():
        for wanted in (path, f"{Path.cwd()}/{path}"):
            answer = guest.http.get(f"/gradio_api/file={wanted}")
            assert answer.status_code == 403, wanted
            assert answer.text == "That is not a file of yours."


def test_an_upload_is_its_visitors_alone_and_harmless(address: str, visitor: Visits, agent: Agent) -> None:
    guest, other = visitor(address), visitor(address)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for name, data in (("page.html", b"<html><script>alert(1)</script></html>"), ("drawing.svg", svg)):
        (path,) = guest.upload(name, data).json()
        mine = guest.http.get(f"/gradio_api/file={quote(path)}")
        assert mine.status_code == 200
        assert mine.headers["content-disposition"].startswith("attachment")
        assert mine.headers["content-type"] == "application/octet-stream"
        assert mine.headers["x-content-type-options"] == "nosniff"
        assert other.http.get(f"/gradio_api/file={quote(path)}").status_code == 403
        assert httpx.get(f"{address}/gradio_api/file={quote(path)}").status_code == 403
        refused = guest.ask("Describe it.", [path])
        assert refused["success"] is False
        assert "is markup" in refused["output"]["error"]
        assert guest.http.get(f"/gradio_api/file={quote(path)}").status_code == 403, "it is gone"
    assert agent.journal.runs() == []


def test_a_file_over_the_limit_is_refused_while_it_comes(address: str, visitor: Visits, agent: Agent) -> None:
    guest = visitor(address)
    refused = guest.upload("long.wav", bytes(6_291_456))
    assert refused.status_code == 413
    assert guest.upload("short.wav", spoken("hello").data).status_code == 200
    assert agent.journal.runs() == []


def test_a_name_that_climbs_stays_in_its_folder(address: str, visitor: Visits) -> None:
    (path,) = visitor(address).upload("../../../climbing.wav", spoken("hello").data).json()
    assert "hopline-uploads-" in Path(path).parts[2]
    assert Path(path).resolve() == Path(path)


def test_paths_and_addresses_in_place_of_uploads_are_refused_before_gradio_sees_them(
    address: str, visitor: Visits, agent: Agent
) -> None:
    asked: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    canary = HTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=canary.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{canary.server_port}/picture.png"
    guest, other = visitor(address), visitor(address)
    (theirs,) = other.upload("memo.wav", spoken(HEARD).data).json()
    bad: list[Any] = [
        "/etc/passwd",
        "../../etc/passwd",
        str(Path(__file__)),
        there,
        "https://example.org/x.png",
        theirs,
        "",
    ]
    bad += [
        {"path": there, "url": there, "meta": {"_type": "gradio.FileData"}},
        {"path": None},
        {"path": {"path": there}},
    ]
    for one in bad:
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            guest.ask("Transcribe it.", [one])
    answer = guest.http.post("/gradio_api/queue/join", content=b"{" * 100_000)
    assert answer.status_code == 403
    assert guest.http.post("/gradio_api/queue/join", content=bytes(3_000_000)).status_code == 403
    canary.shutdown()
    canary.server_close()
    assert asked == []
    assert agent.journal.runs() == []


@pytest.mark.models
def test_a_request_over_http_and_who_may_have_what_it_made(
    address: str, visitor: Visits, agent: Agent, wait_until: Wait
) -> None:
    guest, other = visitor(address), visitor(address)
    (path,) = guest.upload("memo.wav", spoken(HEARD).data).json()
    assert guest.ask("Transcribe the recording.", [path])["success"] is True
    wait_until(lambda: agent.journal.runs() and agent.open().status == "ok")
    run = agent.open()
    memo, text = run.record.attachments[0].artifact, run.record.outputs[0]
    sound = guest.http.get(f"/artifacts/{run.id}/{memo.id}")
    assert sound.content == spoken(HEARD).data
    assert sound.headers["content-type"] == "audio/wav"
    assert sound.headers["content-disposition"].startswith("inline")
    assert "sandbox" in sound.headers["content-security-policy"]
    part = guest.http.get(f"/artifacts/{run.id}/{memo.id}", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    words = guest.http.get(f"/artifacts/{run.id}/{text.id}")
    assert words.headers["content-type"] == "application/octet-stream"
    assert words.headers["content-disposition"].startswith("attachment")
    for path in (f"{run.id}/{memo.id}", f"{run.id}/{text.id}", f"{run.id[:4]}/{memo.id}", f"last/{memo.id}"):
        assert other.http.get(f"/artifacts/{path}").status_code == 404
        assert httpx.get(f"{address}/artifacts/{path}").status_code == 404
    for path in (f"last/{memo.id}", f"{run.id}/{'0' * 64}", f"{run.id}/..%2f..%2fjournal.sqlite"):
        assert guest.http.get(f"/artifacts/{path}").status_code == 404


def test_reports_are_shown_and_cannot_do_anything(address: str, written_report: Path) -> None:
    outside = written_report.parent / "linked"
    outside.mkdir()
    (outside / "report.html").symlink_to("/etc/passwd")
    (outside / "report.md").write_text("| a |\n", "utf-8")
    (outside / "tables").mkdir()
    (written_report.parent / "report.html").write_text("somebody else's report", "utf-8")
    (found,) = reports_in(written_report.parent)
    assert found.name == "loop"
    assert found.headline() == [["chain", "bits"], ["clean", "19.3"]]
    answer = httpx.get(f"{address}/reports/{found.id}")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    for bad in ("loop", "..%2f..%2fetc%2fpasswd", "0" * 16):
        assert httpx.get(f"{address}/reports/{bad}").status_code == 404


def test_a_password_where_there_is_one_is_asked_of_everybody(agent: Agent, serve: Serve) -> None:
    with serve(agent, password="a long password") as found:
        assert httpx.get(found).headers["www-authenticate"].startswith("Basic")
        for path in ("/", "/config", "/gradio_api/upload", "/artifacts/a/b", "/reports/a", "/theme.css"):
            assert httpx.get(f"{found}{path}").status_code == 401
        began = time.monotonic()
        assert httpx.get(found, auth=("me", "a wrong password")).status_code == 401
        assert time.monotonic() - began >= 0.5
        broken = base64.b64encode(b"me").decode()
        assert httpx.get(found, headers={"authorization": f"Basic {broken}"}).status_code == 401
        assert httpx.get(found, headers={"authorization": "Basic !"}).status_code == 401
        assert httpx.get(found, auth=("me", "a long password")).status_code == 200


def test_open_to_others_only_with_a_password(agent: Agent) -> None:
    from hopline.agent.faces.serve.server import open_port, serving

    with open_port("0.0.0.0", 0) as listening:
        for password in ("", "short"):
            with pytest.raises(UserError, match="open to others"), serving(agent, listening, password=password):
                pass


def test_a_port_that_is_taken_is_said_at_once(agent: Agent) -> None:
    from hopline.agent.faces.serve.server import open_port

    with open_port("127.0.0.1", 0) as taken, pytest.raises(UserError, match="is taken"):
        open_port("127.0.0.1", taken.getsockname()[1])
