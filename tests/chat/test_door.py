"""The door to chat models, with the real `ChatOllama` against a server that speaks Ollama's API, well and badly."""

from __future__ import annotations

import base64
import json
import socket
import time

import pytest
from hopline.tools import Artifact
from hopline.tools.chat import ChatModel, Message, Reply, Settings, open_chat
from hopline.tools.chat.message import least_tokens_of, most_tokens_of
from hopline.tools.chat.ollama import OllamaModel
from hopline.tools.chat.server import full_tag, server
from hopline.tools.errors import (
    BackendFailed,
    BadPlan,
    BadReply,
    CutReply,
    HopCancelled,
    HoplineError,
    HopTimeout,
    InputRefused,
    MissingModel,
    MissingServer,
)
from hopline.tools.fakes.ollama import Line, Model, OllamaServer, call, digest, words

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = Artifact(data=PIXEL, modality="image", media_type="image/png")
HELLO = [Message(role="user", text="Say hello.")]


def opened(**settings: object) -> ChatModel:
    return open_chat("ollama:llama3.2-vision", Settings(**settings))  # type: ignore[arg-type]  # each test knows


def say(model: ChatModel, text: str = "Say hello.") -> Reply:
    return model.reply([Message(role="user", text=text)], purpose="answer")


def test_a_reply_and_its_record(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Hel", "lo.", prompt=12)
    heard: list[str] = []
    model = opened(num_ctx=4000, seed=7)
    reply = model.reply(HELLO, purpose="answer", repair=1, most_tokens=50, on_text=heard.append)
    assert reply.text == "Hello."
    assert [text for text in dict.fromkeys(heard) if text] == ["Hel", "Hello."]
    exchange = reply.exchange
    assert (exchange.input_tokens, exchange.output_tokens, exchange.finish_reason) == (12, 2, "stop")
    assert (exchange.purpose, exchange.repair, exchange.reply) == ("answer", 1, "Hello.")
    assert exchange.messages == ({"role": "user", "content": "Say hello."},)
    assert exchange.duration_ms is not None
    assert exchange.duration_ms > 0
    assert exchange.identity["digest"] == digest("one")
    assert exchange.identity["quantization"] == "Q4_K_M"
    assert exchange.identity["num_ctx"] == "4000"
    (asked,) = ollama.asked
    assert asked["model"] == "llama3.2-vision:latest"
    assert asked["options"] == {"num_ctx": 4000, "num_predict": 50, "seed": 7, "temperature": 0.0}
    assert not asked.get("tools")
    assert asked.get("format") is None


def test_num_ctx_is_never_more_than_the_model_was_made_for(ollama: OllamaServer) -> None:
    ollama.models["llama3.2-vision:latest"] = Model(context_length=2048)
    say(opened(most_tokens=100))
    assert ollama.asked[0]["options"]["num_ctx"] == 2048


def test_pictures_go_as_bytes_and_are_recorded_by_their_ids(ollama: OllamaServer) -> None:
    shown = [Message(role="user", text="What is it?", images=(PICTURE,))]
    (row,) = opened().reply(shown, purpose="answer").exchange.messages
    assert ollama.asked[0]["messages"][0]["images"] == [base64.b64encode(PIXEL).decode()]
    assert row["images"] == [{"id": PICTURE.id, "media_type": "image/png"}]
    (row,) = opened(record_images=True).reply(shown, purpose="answer").exchange.messages
    assert base64.b64decode(row["images"][0]["base64"]) == PIXEL


def test_a_text_model_is_shown_no_picture(ollama: OllamaServer) -> None:
    ollama.models["llama3.2-vision:latest"] = Model(capabilities=("completion",))
    with pytest.raises(InputRefused, match="takes no pictures"):
        opened().reply([Message(role="user", text="?", images=(PICTURE,))], purpose="answer")
    assert ollama.asked == []


def test_only_pictures_are_shown(ollama: OllamaServer) -> None:
    sound = Artifact(data=b"RIFF", modality="audio", media_type="audio/wav")
    with pytest.raises(InputRefused, match="not audio") as raised:
        opened().reply([Message(role="user", text="?", images=(sound,))], purpose="answer")
    assert len(raised.value.exchanges) == 1


def test_a_thinking_model_does_not_think_aloud(ollama: OllamaServer) -> None:
    ollama.models["llama3.2-vision:latest"] = Model(capabilities=("completion", "thinking"))
    say(opened())
    assert ollama.asked[0]["think"] is False


# -- nobody there ------------------------------------------------------------------------------


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(MissingServer) as raised:
            opened()
    said = str(raised.value)
    assert "Ollama does not answer at http://127.0.0.1:" in said
    assert "ollama serve" in said
    assert "ollama pull llama3.2-vision (about 7.9 GB)" in said
    assert raised.value.exit_code == 3


def test_a_model_that_was_not_pulled(ollama: OllamaServer) -> None:
    with pytest.raises(MissingModel) as raised:
        open_chat("ollama:qwen2.5")
    assert "qwen2.5:latest is not on the Ollama" in str(raised.value)
    assert "there: llama3.2-vision:latest" in str(raised.value)
    assert raised.value.hint == "Run: ollama pull qwen2.5 (about 4.7 GB)"
    with pytest.raises(MissingModel) as raised:
        open_chat("ollama:someone/own:3b")
    assert raised.value.hint == "Run: ollama pull someone/own:3b"


def test_a_model_removed_meanwhile(ollama: OllamaServer) -> None:
    model = opened()
    ollama.models.clear()
    with pytest.raises(MissingModel, match=r"ollama pull llama3\.2-vision"):
        say(model)


def test_a_server_gone_meanwhile(ollama: OllamaServer) -> None:
    model = opened()
    ollama.http.shutdown()
    ollama.http.server_close()
    with pytest.raises(MissingServer, match="ollama serve") as raised:
        say(model)
    assert raised.value.exchanges[0].error == str(raised.value)


@pytest.mark.parametrize("name", ["", "qwen2.5", "ollama:", ":qwen", "nobody:model"])
def test_no_name_of_a_chat_model(name: str) -> None:
    with pytest.raises(BadPlan):
        open_chat(name)


@pytest.mark.parametrize("name", ["local", "local:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"])
def test_the_local_model_is_none(name: str) -> None:
    with pytest.raises(BadPlan, match="does not hold a conversation"):
        open_chat(name)


# -- replies that are not whole ----------------------------------------------------------------

BROKEN: dict[str, tuple[list[Line], type[HoplineError], str]] = {
    "no last line": (words("Hel", done_reason=None), CutReply, "finish reason"),
    "a connection cut": ([*words("Hel", done_reason=None), None], CutReply, "broke off"),
    "half a line": ([*words("Hel", done_reason=None), '{"message": {"rol'], CutReply, "broke off"),
    "nothing at all": ([], CutReply, "before its first word"),
    "only loaded": (words(done_reason="load"), CutReply, "before its first word"),
    "done without a reason": (
        [{"message": {"role": "assistant", "content": "Hel"}, "done": True}],
        CutReply,
        "finish reason",
    ),
    "an error in mid-stream": (
        [*words("Hel", done_reason=None), {"error": "ran out of memory"}],
        BackendFailed,
        "ran out",
    ),
    "an error at once": ([{"status": 500, "error": "no room for the model"}], BackendFailed, "no room"),
    "an empty answer": (words("  \n"), BadReply, "empty answer"),
    "a call nobody asked for": (call("shell", {"command": "rm"}), BadReply, "'shell', though it was given no tool"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_reply_that_is_not_whole_is_an_error(ollama: OllamaServer, case: str) -> None:
    lines, kind, words_of_it = BROKEN[case]
    ollama.script = lambda _: lines
    with pytest.raises(kind, match=words_of_it) as raised:
        say(opened())
    (exchange,) = raised.value.exchanges
    assert exchange.error == str(raised.value)
    assert exchange.messages == ({"role": "user", "content": "Say hello."},)


def test_what_was_heard_before_it_broke_is_kept(ollama: OllamaServer) -> None:
    ollama.script = lambda _: [*words("Hel", done_reason=None), {"error": "boom"}]
    with pytest.raises(BackendFailed) as raised:
        say(opened())
    assert raised.value.exchanges[0].reply == "Hel"


def test_a_stream_ended_by_closing_is_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(chunked=False, script=lambda _: words("Hel", done_reason=None)) as old:
        monkeypatch.setenv("OLLAMA_HOST", old.host)
        with pytest.raises(CutReply, match="finish reason"):
            say(opened())


@pytest.mark.parametrize("lines", [[30.0], [*words("Hel", done_reason=None), 30.0]], ids=["from the start", "later"])
def test_a_hang_has_a_time_limit(ollama: OllamaServer, lines: list[Line]) -> None:
    ollama.script = lambda _: lines
    began = time.monotonic()
    with pytest.raises(HopTimeout, match=r"time limit of 0\.5 s.*HOPLINE_CHAT_TIMEOUT_S"):
        say(opened(timeout_s=0.5))
    assert time.monotonic() - began < 2


def test_a_drip_does_not_outlive_the_time_limit(ollama: OllamaServer) -> None:
    drip: list[Line] = []
    for _ in range(100):
        drip += [0.1, *words("a ", done_reason=None)]
    ollama.script = lambda _: drip
    with pytest.raises(HopTimeout):
        say(opened(timeout_s=0.6))
    assert ollama.hung_up.wait(3), "the server should see that nobody listens"


def test_a_wish_to_stop_is_heard_while_nothing_comes(ollama: OllamaServer) -> None:
    ollama.script = lambda _: [30.0]

    def stop(text: str) -> None:
        raise HopCancelled("cancelled.")

    began = time.monotonic()
    with pytest.raises(HopCancelled) as raised:
        opened().reply(HELLO, purpose="answer", on_text=stop)
    assert time.monotonic() - began < 2
    assert len(raised.value.exchanges) == 1


def test_a_reply_at_its_limit_says_so(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("One two", done_reason="length")
    assert say(opened()).exchange.finish_reason == "length"


# -- the context -------------------------------------------------------------------------------


def test_what_does_not_fit_the_context_is_not_sent(ollama: OllamaServer) -> None:
    with pytest.raises(InputRefused, match=r"do not fit the context.*HOPLINE_CHAT_NUM_CTX"):
        say(opened(num_ctx=1000, most_tokens=100), "word " * 1000)
    assert ollama.asked == []


def test_a_prompt_that_lost_its_front_is_told(ollama: OllamaServer) -> None:
    ollama.script = lambda _: words("Fine.", prompt=300)
    assert say(opened(), "word " * 1000).warnings == ("prompt_maybe_cut",)
    assert say(opened(), "word " * 500).warnings == ()


def test_token_bounds_hold_for_known_texts() -> None:
    # By Qwen2.5's tokenizer: the sentence has 10 tokens, the Chinese one (12 characters) has 9.
    for text, tokens in (("The quick brown fox jumps over the lazy dog.", 10), ("敏捷的棕色狐狸跳过了懒狗", 9)):
        message = [Message(role="user", text=text)]
        assert least_tokens_of(message) <= tokens <= most_tokens_of(message)


# -- who it is, and where ----------------------------------------------------------------------


def test_a_changed_digest_under_the_same_tag_is_told_once(ollama: OllamaServer) -> None:
    first = opened()
    assert isinstance(first, OllamaModel)
    assert first.changed_from == ""
    ollama.models["llama3.2-vision:latest"] = Model(digest=digest("two"), quantization="Q8_0")
    second = opened()
    assert isinstance(second, OllamaModel)
    assert second.changed_from == digest("one")
    assert second.identity["digest"] == digest("two")
    assert second.identity["quantization"] == "Q8_0"
    third = opened()
    assert isinstance(third, OllamaModel)
    assert third.changed_from == ""


@pytest.mark.parametrize(
    ("written", "url", "loopback"),
    [
        ("", "http://127.0.0.1:11434", True),
        ("0.0.0.0", "http://127.0.0.1:11434", True),
        (":8080", "http://127.0.0.1:8080", True),
        ("localhost", "http://localhost:11434", True),
        ("[::1]:9", "http://[::1]:9", True),
        ("http://box", "http://box:80", False),
        ("https://box/ollama/", "https://box:443/ollama", False),
        ("192.168.1.7:1234", "http://192.168.1.7:1234", False),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example:11434", False),
    ],
)
def test_where_the_server_is(written: str, url: str, loopback: bool) -> None:
    found = server(written)
    assert (found.url, found.loopback) == (url, loopback)


def test_credentials_stay_out_of_what_is_written_down(ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://me:secret@{ollama.host}")
    reply = say(opened())
    assert ollama.headers[-1]["Authorization"] == f"Basic {base64.b64encode(b'me:secret').decode()}"
    assert "secret" not in json.dumps(reply.exchange.to_json())
    assert "secret" not in repr(server())


def test_a_proxy_does_not_get_to_see_it(ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert say(opened()).text == "Hello."


def test_no_address() -> None:
    with pytest.raises(BadPlan, match="is no address"):
        server("ftp://box")
    with pytest.raises(BadPlan, match="is no address"):
        server("box:port")


def test_models_that_another_machine_runs(ollama: OllamaServer) -> None:
    ollama.models["gpt-oss:120b-cloud"] = Model(remote_host="https://ollama.com")
    ollama.models["innocent:latest"] = Model(remote_host="https://ollama.com")
    assert open_chat("ollama:gpt-oss:120b-cloud").remote
    assert not opened().remote
    with pytest.raises(BadPlan, match="run by another machine"):
        open_chat("ollama:innocent")


def test_something_else_answers(ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{ollama.host}/elsewhere")
    with pytest.raises(BackendFailed, match="refused /api/tags"):
        opened()


def test_tags_in_full() -> None:
    assert full_tag("llava") == "llava:latest"
    assert full_tag("llava:13b") == "llava:13b"
    assert full_tag("host:5000/me/llava") == "host:5000/me/llava:latest"
