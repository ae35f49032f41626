"""The text tools on a local language model: what is asked, what is cut and said so, and the real model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hopline.tools import Artifact, Call
from hopline.tools.errors import BackendFailed, BadPlan, InputRefused
from hopline.tools.exchange import Exchange
from hopline.tools.gguf import MOST_CHARACTERS, LanguageModel, TextBackend
from hopline.tools.question_answering.local import Local as QuestionAnswering
from hopline.tools.summarization.local import Local as Summarization
from hopline.tools.translation.local import Local as Translation


class Scripted(LanguageModel):
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *replies: Exchange | BackendFailed) -> None:
        super().__init__()
        self.replies = list(replies)
        self.asked: list[str] = []

    def load(self) -> None:
        pass

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        most_tokens: int,
        schema: Mapping[str, Any] | None = None,
        purpose: str = "",
        same_beginning: bool = False,
    ) -> Exchange:
        self.asked.append(messages[-1]["content"])
        assert messages[0]["role"] == "system"
        assert schema is not None
        reply = self.replies.pop(0)
        if isinstance(reply, BackendFailed):
            raise reply
        return reply


def said(text: str, *, cut: bool = False) -> Exchange:
    reply = text if cut else json.dumps({"result": text})
    return Exchange(purpose="", reply=reply, finish_reason="length" if cut else "stop", input_tokens=7, output_tokens=3)


def backend(kind: type[TextBackend], *replies: Exchange | BackendFailed) -> tuple[TextBackend, Scripted]:
    made, model = kind(), Scripted(*replies)
    made._language_model = model
    return made, model


def call(*texts: str, question: str = "", **parameters: Any) -> Call:
    inputs = {"text": tuple(map(Artifact.from_text, texts))}
    if question:
        inputs["question"] = (Artifact.from_text(question),)
    return Call(inputs=inputs, parameters=parameters)


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        (Summarization, call("One."), "Summarise this text"),
        (Summarization, call("One.", "Two."), "Text 2:\nTwo."),
        (Summarization, call("One.", language="German"), "Write in German."),
        (Translation, call("One."), "into English."),
        (Translation, call("One.", language="French"), "into French."),
        (QuestionAnswering, call("One.", question="How many?"), "Question: How many?"),
    ],
)
def test_what_is_asked(kind: type[TextBackend], asked: Call, words: str) -> None:
    made, model = backend(kind, said("done"))
    result = made.call(asked)
    assert words in model.asked[0]
    assert model.asked[0].endswith("</text>")
    assert result.outputs["text"][0].text == "done"
    assert [(e.input_tokens, e.output_tokens) for e in result.exchanges] == [(7, 3)]
    assert result.mechanical_losses == ()


def test_long_texts_are_cut_and_told() -> None:
    made, model = backend(Summarization, said("short"))
    (loss,) = made.call(call("word " * 10_000)).mechanical_losses
    assert (loss.kind, loss.before, loss.after) == ("truncated", 50_000, MOST_CHARACTERS)
    assert len(model.asked[0]) < MOST_CHARACTERS + 200


def test_texts_of_many_tokens_are_cut_again() -> None:
    too_long = BackendFailed("the request exceeds the available context size")
    made, model = backend(Translation, too_long, too_long, said("kurz"))
    (loss,) = made.call(call("語" * 12_000)).mechanical_losses
    assert loss.after == 3_000
    assert len(model.asked) == 3


def test_a_cut_answer_is_kept_and_told() -> None:
    made, _ = backend(Translation, said('{"result": "Die roten Au', cut=True))
    result = made.call(call("The red cars."))
    assert result.outputs["text"][0].text == "Die roten Au"
    assert "cut at 1500 tokens" in result.mechanical_losses[0].message


@pytest.mark.parametrize("reply", ['{"other": 1}', "plain words", ""])
def test_an_answer_of_another_form_is_an_error(reply: str) -> None:
    made, _ = backend(Summarization, Exchange(purpose="", reply=reply, finish_reason="stop"))
    with pytest.raises(BackendFailed, match="not of the form") as raised:
        made.call(call("One."))
    assert [exchange.reply for exchange in raised.value.exchanges] == [reply]


def test_empty_answers_and_texts_are_refused() -> None:
    made, _ = backend(Summarization, said("  "))
    with pytest.raises(BackendFailed, match="empty answer"):
        made.call(call("One."))
    with pytest.raises(InputRefused, match="no word"):
        made.call(call(" — "))
    with pytest.raises(BadPlan, match="has one model"):
        Summarization("other")


@pytest.mark.slow
@pytest.mark.models
def test_the_real_model() -> None:
    summary = Summarization()
    summary.load()
    made = summary.call(call("Anna bought three red boats in Oslo. " * 20)).outputs["text"][0].text
    assert "Anna" in made
    assert len(made) < 200
    answering = QuestionAnswering()
    answering._language_model = summary._language_model
    asked = call("Anna bought three red boats in Oslo.", question="Where did Anna buy the boats?")
    assert "Oslo" in answering.call(asked).outputs["text"][0].text
    translating = Translation()
    translating._language_model = summary._language_model
    assert "rouge" in translating.call(call("Two red cars.", language="French")).outputs["text"][0].text
    again = translating.call(call("Two red cars.", language="French")).outputs["text"][0]
    assert again.text == translating.call(call("Two red cars.", language="French")).outputs["text"][0].text
