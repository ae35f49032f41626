"""Backends on chat models: the conformance suite, what is asked, what is cut and told, a tag that was changed."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Backend, Call
from hopline.tools import Image as ImageArtifact
from hopline.tools.chat.backend import ChatBackend
from hopline.tools.chat.hearing import ChatHearing
from hopline.tools.chat.texts import QuestionAnswering, Summarization, Translation
from hopline.tools.chat.vision import Answering, Captioning, Ocr
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import BadReply, CutReply, HopCancelled, InputRefused, MissingModel
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, digest, words
from hopline.tools.media import encode_png
from PIL import Image

VISION = "llama3.2-vision:latest"
TEXT = "qwen2.5:latest"
INSTALLED = [
    kind
    for entry in entry_points(group="hopline.backends")
    if issubclass(kind := entry.load(), ChatBackend) and kind is not ChatHearing
]
"""But for the one that hears, for which Ollama has no model: test_direct_models."""
KINDS: list[type[ChatBackend]] = [Captioning, Answering, Ocr, Summarization, Translation, QuestionAnswering]


@pytest.fixture(autouse=True)
def both(ollama: OllamaServer) -> OllamaServer:
    """Both models of the profile `local`."""
    ollama.models[TEXT] = Model(digest=digest("text"), capabilities=("completion", "tools"), context_length=32768)
    return ollama


def picture(width: int = 64, height: int = 48) -> Artifact:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return encode_png(ramp.astype(np.uint8))


def call(kind: type[Backend], text: str = "Two red cats sit on a boat.", **parameters: Any) -> Call:
    made = {
        "image": (picture(),),
        "text": (Artifact.from_text(text),),
        "question": (Artifact.from_text("How many cats?"),),
    }
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    return Call(inputs={port.name: made[port.name] for port in tool.inputs}, parameters=parameters, seed=5)


@pytest.mark.parametrize("kind", INSTALLED, ids=lambda kind: f"{kind.tool}:{kind.name}")
def test_it_conforms(ollama: OllamaServer, kind: type[ChatBackend]) -> None:
    ollama.script = lambda _: words("Two red", " cats.")
    tool = next(tool for tool in STANDARD_TOOLS if tool.name == kind.tool)
    assert check_backend(kind(), tool, [call(kind)]) == []


WANTED = {
    Captioning: "Describe this picture",
    Answering: "Question: How many cats?",
    Ocr: "as Markdown",
    Summarization: "Summarise this text",
    Translation: "into French",
    QuestionAnswering: "Question: How many cats?",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.tool}")
def test_what_is_asked_and_what_is_written_down(ollama: OllamaServer, kind: type[ChatBackend]) -> None:
    ollama.script = lambda _: words("Two red", " cats.")
    backend = kind()
    backend.load()
    result = backend.call(call(kind, language="French"))
    assert result.outputs["text"][0].text == "Two red cats."
    (asked,) = ollama.asked
    system, user = asked["messages"]
    assert "never" in system["content"]
    assert WANTED[kind] in user["content"]
    assert asked["options"]["seed"] == 5
    assert asked["options"]["num_ctx"] == 8192
    assert asked["options"]["num_predict"] == backend.most_tokens
    assert len(user.get("images", [])) == (1 if "image" in call(kind).inputs else 0)
    assert "tools" not in asked or not asked["tools"]
    (exchange,) = result.exchanges
    assert exchange.purpose == backend.tool
    assert result.details["model"]["digest"] == backend.identity()["digest"] != "unknown"
    assert backend.identity()["quantization"] == "Q4_K_M"
    assert not backend.remote


def test_markdown_comes_without_a_fence(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("```markdown\n# Menu\n\n- Soup\n```")
    made = Ocr().call(call(Ocr)).outputs["text"][0]
    assert (made.text, made.media_type) == ("# Menu\n\n- Soup", "text/markdown")


def test_a_picture_without_words(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("NO TEXT.")
    result = Ocr().call(call(Ocr))
    assert result.outputs["text"][0].text == ""
    assert result.details["flags"] == ["no_text"]


def test_a_large_picture_is_made_smaller_and_told(ollama: OllamaServer) -> None:
    given = Call(inputs={"image": (picture(2000, 1600),)})
    (loss,) = Captioning().call(given).mechanical_losses
    assert (loss.kind, loss.unit, loss.before) == ("resized", "pixels", 3_200_000)
    sent = Image.open(io.BytesIO(base64.b64decode(ollama.asked[0]["messages"][1]["images"][0])))
    assert loss.after == sent.width * sent.height
    assert 2_100_000 < loss.after <= 8192 // 3 * 784, "a third of the context"
    assert sent.width / sent.height == pytest.approx(1.25, abs=0.01)


def test_a_model_of_small_context_gets_a_small_picture(ollama: OllamaServer) -> None:
    ollama.models[VISION] = Model(context_length=2048)
    Ocr().call(Call(inputs={"image": (picture(2000, 1600),)}))
    (asked,) = ollama.asked
    assert asked["options"] | {"seed": 0} == {"num_ctx": 2048, "num_predict": 1024, "seed": 0, "temperature": 0.0}
    sent = Image.open(io.BytesIO(base64.b64decode(asked["messages"][1]["images"][0])))
    assert sent.width * sent.height <= 682 * 784


def test_where_a_photo_was_taken_stays_here(ollama: OllamaServer) -> None:
    exif = Image.Exif()
    exif[0x010E] = "home of Anna"
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "JPEG", exif=exif)
    Captioning().call(
        Call(inputs={"image": (Artifact(data=file.getvalue(), modality="image", media_type="image/jpeg"),)})
    )
    assert b"Anna" not in base64.b64decode(ollama.asked[0]["messages"][1]["images"][0])


def test_an_answer_at_its_limit_is_told(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Two red", done_reason="length")
    (loss,) = Captioning().call(call(Captioning)).mechanical_losses
    assert loss.message == "the answer was cut at 300 tokens, its limit"
    (loss,) = Translation().call(call(Translation)).mechanical_losses
    assert loss.message == "the answer was cut at 1500 tokens, its limit"


def test_a_long_text_is_cut_to_the_context_and_told(ollama: OllamaServer) -> None:
    (loss,) = Summarization().call(call(Summarization, "word " * 20_000)).mechanical_losses
    assert (loss.kind, loss.before, loss.after) == ("truncated", 100_000, 3 * (8192 - 400 - 200))
    (loss,) = Summarization().call(call(Summarization, "語" * 30_000)).mechanical_losses
    assert (loss.before, loss.after) == (30_000, 3 * (8192 - 400 - 200) // 4)
    assert len(ollama.asked) == 2, "what does not fit is not sent"


def test_a_prompt_that_the_server_cut_is_flagged(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Words.", prompt=100)
    result = Summarization().call(call(Summarization, "word " * 4000))
    assert result.details["flags"] == ["prompt_maybe_cut"]


def test_it_is_told_as_it_comes(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Two ", "red ", "cats.")
    said: list[tuple[float, str]] = []
    Captioning().call(
        Call(inputs=call(Captioning).inputs, progress=lambda fraction, words: said.append((fraction, words)))
    )
    told = list(dict.fromkeys(shown for _, shown in said if not shown.startswith("waiting")))
    assert told == ["Two ", "Two red ", "Two red cats."]


def test_a_cancel_during_a_hang(ollama: OllamaServer) -> None:
    ollama.script = lambda _: [30.0]

    def stop(fraction: float, words: str) -> None:
        raise HopCancelled("cancelled.")

    began = time.monotonic()
    with pytest.raises(HopCancelled):
        Captioning().call(Call(inputs=call(Captioning).inputs, progress=stop))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("lines", "kind"), [(words("Tw", done_reason=None), CutReply), (words(""), BadReply)], ids=["cut", "empty"]
)
def test_no_empty_success(ollama: OllamaServer, lines: Sequence[Line], kind: type[Exception]) -> None:
    ollama.script = lambda _: lines
    for backend in (Captioning, Summarization):
        with pytest.raises(kind):
            backend().call(call(backend))


def test_refusals() -> None:
    with pytest.raises(InputRefused, match="no word"):
        Summarization().call(call(Summarization, " — "))
    with pytest.raises(InputRefused, match="no question"):
        Answering().call(Call(inputs={"image": (picture(),), "question": (Artifact.from_text("?"),)}))
    with pytest.raises(MissingModel, match="ollama pull moondream"):
        Captioning("moondream").load()
    with pytest.raises(InputRefused, match="takes no pictures"):
        Captioning("qwen2.5").call(call(Captioning))


def test_a_silently_changed_tag_shows(ollama: OllamaServer) -> None:
    backend = Captioning()
    assert "flags" not in backend.call(call(Captioning)).details
    before = backend.identity()
    ollama.models[VISION] = Model(digest=digest("two"), quantization="Q8_0")
    assert backend.identity() != before
    assert backend.identity()["digest"] == digest("two")
    changed = backend.call(call(Captioning)).details
    assert changed["flags"] == ["model_changed"]
    assert changed["changed_from"] == digest("one")
    assert changed["model"]["digest"] == digest("two")
    assert "flags" not in backend.call(call(Captioning)).details
    assert "flags" not in Ocr().call(call(Ocr)).details, "it never saw another"


def test_where_it_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Summarization("openai:gpt-4o").remote
    assert Captioning("qwen3-vl:235b-cloud").remote
    assert not Captioning("llava:13b").remote
    monkeypatch.setenv("OLLAMA_HOST", "http://box:11434")
    assert Captioning("llava:13b").remote


# -- in a run ----------------------------------------------------------------------------------


def agent() -> Agent:
    backends = {
        "image_captioning": "image_captioning:ollama:llama3.2-vision",
        "translation": "translation:chat:ollama:qwen2.5",
    }
    return Agent.from_profile(Profile(name="mine", backends=backends))


def reply(request: Mapping[str, Any]) -> list[Line]:
    return words("Deux chats.") if request["model"] == TEXT else words("Two ", "cats.")


def test_hops_model_calls_and_the_cache(ollama: OllamaServer) -> None:
    ollama.script = reply
    chain = "image_captioning | translation(language=French)"
    with agent() as hopline:
        run = hopline.run("", [picture()], chain=chain)
        assert run.status == "ok", run.record.error
        assert run.outputs[0].text == "Deux chats."
        assert [hop.identity["digest"] for hop in run.hops] == [digest("one"), digest("text")]
        calls = hopline.journal.model_calls(run.id)
        assert [(c.purpose, c.finish_reason, c.output_tokens) for c in calls] == [
            ("image_captioning", "stop", 2),
            ("translation", "stop", 1),
        ]
        assert calls[0].messages is not None
        messages = json.loads(hopline.journal.read(calls[0].messages).text)
        assert messages[1]["images"][0].keys() == {"id", "media_type"}
        again = hopline.run("", [picture()], chain=chain)
        assert [hop.cached_from for hop in again.hops] == [hop.id for hop in run.hops]
        ollama.models[VISION] = Model(digest=digest("two"))
        changed = hopline.run("", [picture()], chain=chain)
        assert changed.hops[0].cached_from is None
        assert changed.hops[0].flags == ("model_changed",)


def test_a_server_that_went_away_is_a_reason(ollama: OllamaServer) -> None:
    ollama.http.shutdown()
    ollama.http.server_close()
    with agent() as hopline:
        run = hopline.run("", [picture()], chain="image_captioning")
        (hop,) = run.hops
        assert run.status == "failed"
    assert hop.error is not None
    assert hop.error.reason == "missing_server"
    assert "ollama serve" in hop.error.message
    assert hop.identity["digest"] == "unknown"


def test_a_cut_reply_is_a_failed_hop_with_its_exchange(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Tw", done_reason=None)
    with agent() as hopline:
        run = hopline.run("", [picture()], chain="image_captioning")
        (hop,), (made,) = run.hops, run.model_calls
    assert hop.error is not None
    assert hop.error.reason == "cut_reply"
    assert made.error is not None
    assert made.hop == hop.id


def paint(text: str) -> ImageArtifact:
    """Paints what a text says."""
    return picture()


def test_a_reading_for_measurement_is_a_model_call_too(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Two red cats.")
    profile = Profile(name="mine", backends={"image_captioning": "image_captioning:ollama"})
    with Agent.from_profile(profile, tools=[paint]) as hopline:
        run = hopline.run("Two red cats.", chain="paint")
        run.loss()
        (probe,), (made,) = run.probes, run.model_calls
    assert probe.reader == "image_captioning:ollama"
    assert probe.identity["digest"] == digest("one")
    assert (made.hop, made.purpose, made.finish_reason) == (None, "image_captioning", "stop")
