"""`visual_question_answering:transformers[:model]`: BLIP-VQA, ViLT, and any image-text-to-text model that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call, MechanicalLoss, Result
from hopline.tools.errors import BadPlan, InputRefused
from hopline.tools.looking import Looking, Written, as_pillow
from hopline.tools.media import decode_image
from hopline.tools.pretrained import cut_words

_FORMS: Mapping[str, Callable[[str], str]] = {
    "blip-2": lambda question: f"Question: {question} Answer:",
    "instructblip": lambda question: question,
    "paligemma": lambda question: f"answer en {question}",
}
"""By type of model, how one that does not chat wants to be asked."""

_BLIP_VQA, _VILT = "BlipForQuestionAnswering", "ViltForQuestionAnswering"
_NO_LIMIT = 1_000_000
_BEST = 5


class Transformers(Looking):
    """Answers a question about a picture; see `Looking` for details and losses.

    ViLT chooses among answers it knows: details `answers`, the best with their scores in [0, 1]. Loss `truncated` for
    words of the question that the model does not read.
    """

    tool = "visual_question_answering"
    name = "transformers"
    default_model = "Salesforce/blip-vqa-base"

    def _check_kind(self, config: Any) -> None:
        self._architecture = (config.architectures or [""])[0]
        answers = self._architecture in (_BLIP_VQA, _VILT) or config.model_type in _FORMS
        if not answers and config.model_type in ("blip", "git", "vision-encoder-decoder"):
            raise BadPlan(
                f"{self.model_name} describes pictures and answers no questions.",
                hint=f"Take {self.default_model}, or image_captioning.",
            )

    def model_class(self, config: Any) -> Any:
        import transformers

        if self._architecture in (_BLIP_VQA, _VILT):
            return getattr(transformers, self._architecture)
        return super().model_class(config)

    def work(self, calls: Sequence[Call]) -> list[Result]:
        asked = [self._question(call) for call in calls]
        if self._architecture == _BLIP_VQA:
            images = [call.one("image") for call in calls]
            written = self.write(calls, images, [question for question, _ in asked])
            return [self._told(one, cut) for one, (_, cut) in zip(written, asked, strict=True)]
        if self._architecture == _VILT:
            return [self._choose(call, question, cut) for call, (question, cut) in zip(calls, asked, strict=True)]
        return [self._ask(call, question, cut) for call, (question, cut) in zip(calls, asked, strict=True)]

    def _question(self, call: Call) -> tuple[str, tuple[MechanicalLoss, ...]]:
        question = call.one("question").text.strip()
        if not any(character.isalnum() for character in question):
            raise InputRefused("there is no question.")
        positions = [
            getattr(config, "max_position_embeddings", None)
            for config in (self._config, getattr(self._config, "text_config", None))
            if self._architecture in (_BLIP_VQA, _VILT)
        ]
        window = min([self._tokenizer.model_max_length, *(p for p in positions if p)])
        if window >= _NO_LIMIT:
            return question, ()
        read, loss = cut_words(question, self._tokenizer, window)
        return read, (loss,) if loss else ()

    def _ask(self, call: Call, question: str, cut: tuple[MechanicalLoss, ...]) -> Result:
        form = _FORMS.get(self._config.model_type)
        text = self.chat_text(question) if self._chats or form is None else form(question)
        (written,) = self.write([call], [call.one("image")], [text])
        return self._told(written, cut)

    def _told(self, written: Written, cut: tuple[MechanicalLoss, ...]) -> Result:
        return self.result(Written(text=written.text, losses=(*cut, *written.losses)))

    def _choose(self, call: Call, question: str, cut: tuple[MechanicalLoss, ...]) -> Result:
        import torch

        image: Artifact = call.one("image")
        pixels, losses = decode_image(image)
        shown = self.show([as_pillow(pixels)], text=[question])
        call.progress(0.1, "looking")
        torch.manual_seed(0)  # ViLT takes the patches in an order of chance
        with torch.inference_mode():
            scores = self._model(**shown).logits[0].float().sigmoid().cpu()
        best = scores.topk(min(_BEST, scores.numel()))
        names = self._config.id2label
        answers = [[names[int(i)], round(float(s), 4)] for s, i in zip(best.values, best.indices, strict=True)]
        fitted = self.seen(shown, 0, pixels.shape[1], pixels.shape[0])
        return self.result(Written(text=str(answers[0][0]), losses=(*cut, *losses, *fitted)), answers=answers)
