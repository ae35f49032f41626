"""The paired difference of two runs, by hand."""

from __future__ import annotations

from typing import Any

from hopline.agent.loss.difference import difference


def loss(run: str, *, kept: int, missing: int, wer: float | None, last_seen: str, became: str = "") -> dict[str, Any]:
    return {
        "run": run,
        "hops": [
            {
                "step": "step1",
                "tool": "speech_to_text",
                "backend": f"speech_to_text:{run}",
                "kept": kept,
                "altered": 0,
                "missing": missing,
                "void": 0,
                "invented": 0,
                "scores": [{"metric": "wer", "value": wer}],
            }
        ],
        "facts": [
            {
                "source": "audio1",
                "type": "object",
                "text": "boat",
                "last_seen": last_seen,
                "altered_to": {"step1": became} if became else {},
            },
            {"source": "audio1", "type": "object", "text": "car", "last_seen": "step1", "altered_to": {}},
        ],
    }


def test_figures_are_paired_by_step() -> None:
    made = difference(
        loss("one", kept=3, missing=1, wer=0.5, last_seen="step1"),
        loss("two", kept=2, missing=2, wer=None, last_seen="audio1", became="bow"),
    )
    (row,) = made["hops"]
    assert (row["kept"], row["missing"]) == ([3, 2], [1, 2])
    assert row["backend"] == ["speech_to_text:one", "speech_to_text:two"]
    assert row["scores"] == [{"metric": "wer", "values": [0.5, None]}]
    (fact,) = made["facts"]
    assert fact["text"] == "boat"
    assert [end["last_seen"] for end in fact["ends"]] == ["step1", "audio1"]
    assert fact["ends"][1]["altered_to"] == {"step1": "bow"}


def test_the_gain_of_a_repair_is_what_arrives_more_at_the_end() -> None:
    before = loss("one", kept=1, missing=3, wer=None, last_seen="step1")
    after = loss("two", kept=3, missing=1, wer=None, last_seen="step1")
    assert difference(before, after)["repair"] == {"gain": 2, "lost": 3, "facts": 4}
    assert difference(after, before)["repair"] == {"gain": -2, "lost": 1, "facts": 4}
    other = loss("three", kept=3, missing=2, wer=None, last_seen="step1")
    assert difference(before, other)["repair"] is None, "other facts"
    unscored = {**after, "hops": [{**after["hops"][0], "kept": None}]}
    assert difference(before, unscored)["repair"] is None


def test_a_run_differs_in_nothing_from_itself() -> None:
    same = loss("one", kept=3, missing=1, wer=0.5, last_seen="step1")
    made = difference(same, same)
    assert made["facts"] == []
    assert all(before == after for row in made["hops"] for before, after in [row["kept"], row["missing"]])


def test_steps_only_one_run_has_are_shown_as_such() -> None:
    one = loss("one", kept=3, missing=1, wer=0.5, last_seen="step1")
    made = difference(one, {"run": "two", "hops": [], "facts": []})
    assert made["hops"][0]["kept"] == [3, None]
    assert made["facts"] == []
