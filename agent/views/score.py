"""Scores with their signatures, and what one hop kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.views.markup import Html, tag

_COUNTS = (
    ("kept", "kept"),
    ("altered", "altered"),
    ("missing", "not read"),
    ("void", "void"),
    ("invented", "new"),
    ("not_seen_since", "last seen just before"),
    ("unscored", "not scored"),
)
"""A single run cannot tell lost from not read, so the count `missing` is worded "not read"."""


_METRICS = {"wer": "WER", "mer": "MER", "cer": "CER", "chrf": "chrF", "slot_bits": "bits of the probe"}


def kept_line(loss: Mapping[str, Any]) -> Html | None:
    """What became of the facts across one hop: a line of counts, or why there are none.

    Args:
        loss: a row of `hops` in a `hopline.loss/1`; `against` and `round_trip` are shown as they
            stand there (`named_row` puts in the page's names).
    """
    counts = [
        tag("span", tag("strong", str(loss[key])), f" {words}", class_=f"hl-count hl-count-{key}")
        for key, words in _COUNTS
        if isinstance(loss.get(key), int) and not isinstance(loss.get(key), bool) and (loss[key] or key == "kept")
    ]
    unscored = loss.get("unscored")
    if isinstance(unscored, str) and unscored:
        counts.append(tag("span", f"not scored: {unscored}", class_="hl-muted"))
    if not counts:
        return None
    notes = [tag("span", f"against {loss['against']}", class_="hl-muted")] if loss.get("against") else []
    if together := loss.get("round_trip"):
        words = f"measured as one round trip: {' and '.join(str(hop) for hop in together)}"
        notes.append(tag("span", words, class_="hl-muted"))
    return tag("p", tag("span", "Facts", class_="hl-side-name"), counts, notes, class_="hl-kept")


def named_row(row: Mapping[str, Any], nodes: Mapping[str, str], hops: Mapping[int, str]) -> dict[str, Any]:
    """A row with the names that the page uses in place of ids.

    Args:
        row: of `hops` in a `hopline.loss/1`.
        nodes: name of each node by its id.
        hops: name of each hop by its id.
    """
    against = [nodes.get(node, node) for node in str(row.get("against") or "").split("+") if node]
    together = [hops.get(hop, str(hop)) for hop in row.get("round_trip") or ()]
    return {**row, "against": " and ".join(against), "round_trip": together}


def score_list(scores: Sequence[Mapping[str, Any]]) -> Html | None:
    """Each score with its signature in small print; what is Unscored says why."""
    rows = []
    for score in scores:
        metric, value = str(score.get("metric", "score")), score.get("value")
        if value is None:
            shown: Html = tag("span", f"Unscored: {score.get('unscored') or 'no reason given'}", class_="hl-muted")
        else:
            shown = tag("strong", f"{value:.3g}" if isinstance(value, int | float) else str(value))
        signed = value is not None or score.get("signature")
        signature = tag("code", signature_words(score.get("signature")), class_="hl-signature") if signed else None
        rows.append(tag("div", tag("dt", _METRICS.get(metric, metric)), tag("dd", shown, signature)))
    return tag("dl", rows, class_="hl-scores") if rows else None


def signature_words(signature: Any) -> str:
    """A signature as one line, `name:value|name:value`."""
    if isinstance(signature, Mapping):
        return "|".join(f"{key}:{value}" for key, value in signature.items() if value not in (None, "", {}))
    return str(signature) if signature else "no signature"
