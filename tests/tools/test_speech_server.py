"""Backends on an OpenAI-compatible speech server: the real client, a real server, and every way it goes wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import entry_points

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import (
    BackendFailed,
    BadPlan,
    CutReply,
    HoplineError,
    HopTimeout,
    InputRefused,
    MissingModel,
    MissingServer,
    ResourceExceeded,
    UserError,
)
from hopline.tools.fakes.openai import Answer, OpenAIServer, refused
from hopline.tools.home import limits
from hopline.tools.media import decode_audio, encode_wav
from hopline.tools.speech_server import SpeechServer
from hopline.tools.speech_to_text.openai import SpeechToTextServer
from hopline.tools.text_to_speech.openai import TextToSpeechServer

RATE_HZ = 16_000
SOUND = encode_wav((0.2 * np.sin(np.arange(RATE_HZ) / 10)).astype(np.float32), RATE_HZ)
HEARD = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.0,
    "text": " Two red cats. ",
    "segments": [
        {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": 1.0,
            "text": " Two red cats.",
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": -0.1,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        }
    ],
    "words": [{"word": "Two", "start": 0.0, "end": 0.25}, {"word": "red", "start": 0.25, "end": 0.5}],
}


def answers(request: object) -> Answer:
    path = request["path"]  # type: ignore[index]
    return (200, HEARD) if path == "/v1/audio/transcriptions" else (200, SOUND.data)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with OpenAIServer(script=answers) as made:
        yield made


def hearing(server: OpenAIServer) -> SpeechToTextServer:
    backend = SpeechToTextServer(f"whisper-1@{server.url}")
    backend.load()
    return backend


def speaking(server: OpenAIServer) -> TextToSpeechServer:
    backend = TextToSpeechServer(f"tts-1#nova@{server.url}")
    backend.load()
    return backend


HEAR = Call(inputs={"audio": (SOUND,)}, parameters={"language": "en"})
SAY = Call(inputs={"text": (Artifact.from_text("Two red cats."),)}, parameters={"speed": 1.5})


INSTALLED = [kind for entry in entry_points(group="hopline.backends") if issubclass(kind := entry.load(), SpeechServer)]


@pytest.mark.parametrize("kind", INSTALLED)
def test_they_conform(server: OpenAIServer, kind: type[SpeechServer]) -> None:
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    call = HEAR if kind is SpeechToTextServer else SAY
    assert check_backend(kind(f"some-model@{server.url}"), tool, [call]) == []


def test_what_is_heard(server: OpenAIServer) -> None:
    result = hearing(server).call(HEAR)
    assert result.outputs["text"][0].text == "Two red cats."
    assert result.details["language"] == "english"
    assert result.details["words"][1] == ["red", 0.25, 0.5, None]
    assert result.details["segments"] == [{"start_s": 0.0, "end_s": 1.0, "text": "Two red cats."}]
    (asked,) = server.asked
    assert asked["path"] == "/v1/audio/transcriptions"
    assert (asked["model"], asked["language"], asked["response_format"]) == ("whisper-1", "en", "verbose_json")
    assert asked["timestamp_granularities"] == ["word", "segment"]
    assert asked["file"].startswith(b"RIFF")


def test_a_language_that_is_to_be_found_out_is_not_sent(server: OpenAIServer) -> None:
    hearing(server).call(Call(inputs=HEAR.inputs, parameters={"language": "auto"}))
    assert "language" not in server.asked[0]


def test_silence_is_flagged(server: OpenAIServer) -> None:
    server.script = lambda request: (200, {"text": " ", "segments": [], "words": []})
    result = hearing(server).call(HEAR)
    assert (result.outputs["text"][0].text, result.details["flags"]) == ("", ["no_speech"])


def test_what_is_said(server: OpenAIServer) -> None:
    result = speaking(server).call(SAY)
    samples, rate_hz, _ = decode_audio(result.outputs["audio"][0])
    assert (samples.size, rate_hz) == (RATE_HZ, RATE_HZ)
    assert result.details["declared"] == {"text": "Two red cats."}
    (asked,) = server.asked
    wanted = {"model": "tts-1", "voice": "nova", "input": "Two red cats.", "response_format": "wav", "speed": 1.5}
    assert {key: asked[key] for key in wanted} == wanted
    with pytest.raises(InputRefused, match="no word or number"):
        speaking(server).call(Call(inputs={"text": (Artifact.from_text("…"),)}))


REFUSALS: list[tuple[int, type[HoplineError], str]] = [
    (400, InputRefused, "does not take it: too long"),
    (401, UserError, "refuses the key: too long"),
    (403, UserError, "refuses the key"),
    (404, MissingModel, "does not serve"),
    (422, InputRefused, "does not take it"),
    (429, ResourceExceeded, "takes no more for now"),
    (500, BackendFailed, r"failed: too long \(status 500\)"),
    (302, BackendFailed, "status 302"),
]


@pytest.mark.parametrize(("status", "kind", "words"), REFUSALS)
def test_refusals(server: OpenAIServer, status: int, kind: type[HoplineError], words: str) -> None:
    server.script = lambda request: refused(status, "too long")
    for backend, call in ((hearing(server), HEAR), (speaking(server), SAY)):
        with pytest.raises(kind, match=words):
            backend.call(call)
    assert len(server.asked) == 2, "asked once each"


def test_an_answer_that_breaks_off(server: OpenAIServer) -> None:
    server.cut_after = 20
    for backend, call in ((hearing(server), HEAR), (speaking(server), SAY)):
        with pytest.raises(CutReply, match="broke off"):
            backend.call(call)


def test_what_does_not_speak_the_api(server: OpenAIServer) -> None:
    server.script = lambda request: (200, b"<html>hello</html>")
    with pytest.raises(HoplineError) as heard:
        hearing(server).call(HEAR)
    assert heard.value.reason in ("backend_failed", "bad_reply")
    with pytest.raises(CutReply, match="gave no sound"):
        speaking(server).call(SAY)


def test_a_server_that_hangs(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_HOP_TIMEOUT_S", "0.5")
    limits.cache_clear()
    server.pause_s = 20
    began = time.monotonic()
    with pytest.raises(HopTimeout, match="HOPLINE_HOP_TIMEOUT_S"):
        hearing(server).call(HEAR)
    assert time.monotonic() - began < 5


def test_nobody_there() -> None:
    backend = SpeechToTextServer("whisper-1@http://127.0.0.1:9/v1")
    backend.load()
    with pytest.raises(MissingServer, match="does not answer") as caught:
        backend.call(HEAR)
    assert caught.value.exit_code == 3


def test_what_leaves_this_machine(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not SpeechToTextServer(f"m@{server.url}").remote
    assert not SpeechToTextServer("m@http://localhost:8000/v1").remote
    assert SpeechToTextServer("m@http://192.168.1.5:8000/v1").remote
    away = TextToSpeechServer()
    assert (away.remote, away.address, away.served) == (True, "https://api.openai.com/v1", "tts-1")
    assert away.missing()[0].command == "export OPENAI_API_KEY=…"
    with pytest.raises(UserError, match="wants a key"):
        away.load()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert not TextToSpeechServer().remote
    with pytest.raises(BadPlan, match="no address of a server"):
        SpeechToTextServer("m@ftp://box")
    with Agent.from_profile("offline") as agent, pytest.raises(BadPlan, match="sends content away"):
        agent.run("", [SOUND], chain="speech_to_text:openai:whisper-1@http://192.168.1.5:8000/v1")


def test_in_a_run_with_the_address_in_the_profile(server: OpenAIServer) -> None:
    backends = {
        "speech_to_text": f"speech_to_text:openai:whisper-1@{server.url}",
        "text_to_speech": f"text_to_speech:openai:tts-1#nova@{server.url}",
    }
    with Agent.from_profile(Profile(name="mine", backends=backends)) as agent:
        run = agent.run("", [SOUND], chain="speech_to_text | text_to_speech")
        assert run.status == "ok", run.record.error
        assert [hop.identity["server"] for hop in run.hops] == [server.url] * 2
        assert [hop.remote for hop in run.hops] == [False, False]
