"""The bars of the extractor in a size for every day; `benchmarks/facts.py` prints them in full."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hopline.agent.loss.extraction import English, Extractor
from hopline.agent.loss.facts import Fact, align
from hopline.agent.loss.paraphrase import paraphrase
from hopline.agent.loss.planted import planted
from hopline.agent.loss.plugins import extractor, metrics
from hopline.tools.errors import NotFound

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "facts.py"


@pytest.fixture(scope="module")
def facts_benchmark() -> ModuleType:
    specification = importlib.util.spec_from_file_location("facts_benchmark", BENCHMARK)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_planted_edits(facts_benchmark: ModuleType) -> None:
    assert facts_benchmark.edits(8, 7, caseless=False, misses=False)


def test_natural_sentences(facts_benchmark: ModuleType) -> None:
    assert len(facts_benchmark.labelled(facts_benchmark.DATA / "natural-test.txt")) >= 100
    assert facts_benchmark.natural(facts_benchmark.DATA / "natural-test.txt", caseless=False, misses=False)


class Blind(English):
    """Reads no colours: what a weak extractor looks like."""

    def facts(self, text: str) -> tuple[Fact, ...]:
        return tuple(f for f in super().facts(text) if f.type != "colour")


def test_a_weak_extractor_misses_the_bar(facts_benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_benchmark, "English", Blind)
    assert not facts_benchmark.edits(2, 7, caseless=False, misses=False)
    assert not facts_benchmark.natural(facts_benchmark.DATA / "natural-test.txt", caseless=False, misses=False)


def test_paraphrases_change_words_and_keep_facts() -> None:
    reader: Extractor = English()
    texts = [case.source for case in planted(2, 99)]
    changed = [(text, paraphrase(text, k)) for k, text in enumerate(texts)]
    assert sum(text != other for text, other in changed) > 0.9 * len(texts)
    fates = [fate for text, other in changed for fate in align(reader.facts(text), reader.facts(other)).fates]
    assert sum(fate.status != "kept" for fate in fates) <= 0.03 * len(fates)


def test_a_paraphrase_repeats_and_leaves_what_it_cannot_say_otherwise() -> None:
    text = "There are two red cars next to a sofa. He paid $20."
    assert paraphrase(text, 3) == paraphrase(text, 3)
    assert paraphrase("Hm.", 1) == "Hm."


def test_planted_texts_repeat_and_say_what_was_edited() -> None:
    cases = list(planted(1, 5))
    assert cases == list(planted(1, 5))
    assert {(c.type, c.edit) for c in cases} == {(t, e) for t in _TYPES for e in ("delete", "swap", "add")}
    for case in cases:
        assert case.source != case.output
        assert (case.added is not None) == (case.edit == "add")
        assert any(status != "kept" for status in case.expected.values()) == (case.edit != "add")


_TYPES = ("object", "count", "colour", "relation", "name", "number", "quantity", "date", "negation")


def test_extractors_and_metrics_come_by_name() -> None:
    assert isinstance(extractor(), English)
    assert [m.name for m in metrics()][:5] == ["wer", "mer", "cer", "chrf", "cosine"]
    with pytest.raises(NotFound, match="no extractor of facts 'klingon'"):
        extractor("klingon")
