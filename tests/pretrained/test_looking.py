"""Captions and answers by tiny models of the real classes: BLIP, BLIP-2, GIT, LLaVA, BLIP-VQA, ViLT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.errors import BadPlan, HopCancelled, InputRefused
from hopline.tools.image_captioning.transformers import Transformers as Captioning
from hopline.tools.media import encode_png
from hopline.tools.registry import installed
from hopline.tools.visual_question_answering.transformers import Transformers as Answering

SHORT = "what colour is the cat"
LONG = "how many dogs sits on the red boat in the house of two cats and three blue dogs"


def picture(width: int = 80, height: int = 48, seed: int = 0) -> Artifact:
    return encode_png(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def shown(image: Artifact | None = None, question: str = "") -> Call:
    inputs = {"image": (image or picture(),)}
    return Call(inputs=inputs | ({"question": (Artifact.from_text(question),)} if question else {}))


def loaded(kind: type[Captioning] | type[Answering], folder: Path) -> Any:
    backend = kind(str(folder))
    backend.load()
    return backend


@pytest.mark.parametrize(
    ("model", "losses"),
    [
        ("tiny_blip", [("resized", "shown to the model at 32 x 32 of 80 x 48 pixels, its proportions changed")]),
        (
            "tiny_git",
            [
                ("cropped", "the edges were cut off: 60% of the picture was shown"),
                ("resized", "shown to the model at 32 x 32 of 80 x 48 pixels"),
            ],
        ),
    ],
)
def test_a_picture_made_to_fit_is_told(
    model: str, losses: list[tuple[str, str]], request: pytest.FixtureRequest
) -> None:
    result = loaded(Captioning, request.getfixturevalue(model)).call(shown())
    assert [(loss.kind, loss.message) for loss in result.mechanical_losses if loss.kind != "truncated"] == losses


def test_a_picture_that_fits_loses_nothing(tiny_blip: Path) -> None:
    result = loaded(Captioning, tiny_blip).call(shown(picture(32, 32)))
    assert [loss.kind for loss in result.mechanical_losses if loss.kind != "truncated"] == []


def test_what_is_asked_and_shown_decides(tiny_blip_vqa: Path) -> None:
    """One batch of several pictures and questions gives what each gives alone."""
    backend = loaded(Answering, tiny_blip_vqa)
    calls = [shown(picture(seed=seed), question) for seed in (0, 1) for question in (SHORT, LONG)]
    together = backend.call_many(calls)
    assert [result.outputs for result in together] == [backend.call(call).outputs for call in calls]
    read: list[Any] = []
    real = backend._model.generate

    def noting(**given: Any) -> Any:
        read.append({name: value.tolist() for name, value in given.items() if hasattr(value, "tolist")})
        return real(**given)

    backend._model.generate = noting
    backend.call(calls[0])
    backend.call(calls[1])
    assert read[0]["pixel_values"] == read[1]["pixel_values"]
    assert read[0]["input_ids"] != read[1]["input_ids"]


def test_one_pass_for_a_batch(tiny_blip: Path) -> None:
    backend = loaded(Captioning, tiny_blip)
    sizes: list[int] = []
    real = backend._model.generate

    def counting(**given: Any) -> Any:
        sizes.append(len(given["pixel_values"]))
        return real(**given)

    backend._model.generate = counting
    assert len(backend.call_many([shown(picture(seed=seed)) for seed in range(10)])) == 10
    assert sizes == [8, 2]


def test_an_answer_among_those_it_knows(tiny_vilt: Path) -> None:
    result = loaded(Answering, tiny_vilt).call(shown(question=LONG))
    answers = result.details["answers"]
    assert answers[0][0] == result.outputs["text"][0].text
    assert len(answers) == 5
    assert [score for _, score in answers] == sorted((score for _, score in answers), reverse=True)
    cut, resized = result.mechanical_losses
    assert (cut.kind, cut.before, cut.after, cut.unit) == ("truncated", 18, 10, "words")
    assert cut.message == "read are 12 of 20 tokens; cut: house of two cats and three blue dogs"
    assert resized.message.startswith("shown to the model at 96 x 64 of 80 x 48 pixels")


def test_a_model_that_chats_is_asked_in_its_template(tiny_llava: Path) -> None:
    backend = loaded(Answering, tiny_llava)
    assert backend.chat_text("red cat ?") == "USER: <image> red cat ? ASSISTANT:"
    kinds = [loss.kind for loss in backend.call(shown(question=SHORT)).mechanical_losses]
    assert kinds == ["resized", "truncated"], "random weights do not come to an end"


@pytest.mark.parametrize("kind", [Captioning, Answering])
def test_a_text_is_what_the_model_wrote_and_no_more(kind: type[Captioning] | type[Answering], tiny_blip2: Path) -> None:
    """BLIP-2 gives back what it was asked, opened by OPT's mark of a beginning, which ends texts elsewhere."""
    backend = loaded(kind, tiny_blip2)
    given: list[Any] = []
    real = backend._model.language_model.generate

    def noting(**arguments: Any) -> Any:
        given.append((arguments["input_ids"], made := real(**arguments)))
        return made

    backend._model.language_model.generate = noting
    result = backend.call(shown(question=SHORT))
    ((asked, made),) = given
    assert made.shape[1] == asked.shape[1] + backend.most_tokens
    written = backend._tokenizer.decode(made[0, asked.shape[1] :], skip_special_tokens=True).strip()
    assert result.outputs["text"][0].text == written
    assert result.mechanical_losses[-1].message == "the text was cut at 60 tokens, its limit"


def test_a_captioner_is_not_asked(tiny_blip: Path) -> None:
    with pytest.raises(BadPlan, match="describes pictures and answers no questions"):
        Answering(str(tiny_blip)).load()


def test_no_question(tiny_blip_vqa: Path) -> None:
    with pytest.raises(InputRefused, match="no question"):
        loaded(Answering, tiny_blip_vqa).call(shown(question=" ?! "))


def test_it_stops_at_a_token(tiny_llava: Path) -> None:
    told: list[str] = []

    def stop(fraction: float, words: str) -> None:
        told.append(words)
        if words.startswith("3 "):
            raise HopCancelled("enough")

    with pytest.raises(HopCancelled):
        loaded(Captioning, tiny_llava).call(Call(inputs={"image": (picture(),)}, progress=stop))
    assert told == ["looking", "1 tokens written", "2 tokens written", "3 tokens written"]


def test_weights_that_are_not_there_are_told(tiny_blip: Path, tmp_path: Path) -> None:
    """The library makes them up and says so in a log."""
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_blip, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    gone = "vision_model.encoder.layers.0.mlp.fc1.weight"
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    details = loaded(Captioning, folder).call(shown()).details
    assert "untrained_weights" in details["flags"]
    assert details["untrained_weights"] == [gone]


@pytest.mark.crash
def test_in_their_workers(tiny_blip: Path, tiny_blip_vqa: Path, home: Path) -> None:
    backends = {
        "image_captioning": f"transformers:{tiny_blip}",
        "visual_question_answering": f"transformers:{tiny_blip_vqa}",
    }
    with Agent(registry=installed(), profile=Profile(name="tiny", backends=backends), journal=Journal(home)) as agent:
        described = agent.run("", [picture()], chain="image_captioning")
        answered = agent.run(SHORT, [picture()], chain="visual_question_answering")
        (caption,), (answer,) = described.hops, answered.hops
        assert (described.status, answered.status) == ("ok", "ok")
    assert caption.identity["dtype"] == answer.identity["dtype"] == "float32"
    assert caption.identity["weights"] != answer.identity["weights"]
    assert [loss.kind for loss in answer.mechanical_losses][:1] == ["resized"]
