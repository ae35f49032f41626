"""Results of the two published studies, in the layout of their repositories: read, measured, refused when broken."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hopline.agent.experiments.experiment import write_study
from hopline.agent.experiments.importing import import_study
from hopline.agent.experiments.study import Study, flow_rows, headline_rows, loop_rows, worst
from hopline.agent.experiments.summary import markdown
from hopline.agent.experiments.tables import tables, write_tables
from hopline.agent.loss.drift import DriftRate
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import Estimate
from hopline.tools.errors import BadInput, UserError

GOLDEN = Path(__file__).parent / "golden"
SELF_LOOP = "news Alpha-7B en-fr-en"


def estimate(study: Study, chain: str, measure: str, generation: int) -> Estimate:
    (node,) = [n for n in study.analysis.nodes if n.chain == chain and n.generation == generation]
    found = study.analysis.of(node, measure)
    assert isinstance(found, Estimate)
    return found


def test_both_protocols_of_a_model(tmp_path: Path) -> None:
    study = import_study(GOLDEN / "semantic-drift", "semantic-drift")
    chains = study.grid.experiment.expanded()
    assert [(c.name, c.links, c.generations) for c in chains] == [
        ("alpha text-first", ("text_to_image", "image_captioning"), 2),
        ("alpha image-first", ("image_captioning", "text_to_image"), 2),
    ]
    assert [(n.chain, n.step, n.generation) for n in study.analysis.nodes] == [
        ("alpha text-first", 2, 1),
        ("alpha text-first", 4, 2),
        ("alpha image-first", 1, 1),
        ("alpha image-first", 3, 2),
    ]
    # Rows are joined by file name, whatever their order; pictures are measured against the captions of the other half.
    first = next(o for o in study.observations if o.trajectory.source.id == "0002")
    assert first.trajectory.source.reference == "A blue boat is above three green birds."
    assert first.texts == {2: "A blue boat and birds.", 4: "A boat and four birds."}
    drawn = next(o for o in study.observations if o.trajectory.chain.name == "alpha image-first")
    assert drawn.trajectory.source.artifact.modality == "image"
    assert drawn.trajectory.source.reference == "Two red cars are left of a house."
    kept = estimate(study, "alpha text-first", "retention", 2)
    assert (kept.n, kept.lo) == (3, None)  # no interval of three sources
    assert study.analysis.compared == ()  # the two protocols start from other things
    assert flow_rows(study)[2][3:] == ["2", "none", "1 × partial: the results lack a generation"]

    page = write_study(study, tmp_path)[0].read_text("utf-8")
    assert "with MPNet, CLIP and DINO, is another number" in page
    assert "hopline show" not in page
    assert page.count("data:image/png;base64,") == 6  # two pictures of each of three trajectories, drawn or sent
    assert len(worst(study)) == 3


def test_drift_is_that_of_the_texts(tmp_path: Path) -> None:
    """Twenty sources of which 20 generations are there have MCD and SDR, with intervals."""
    root = tmp_path / "beta" / "captions-first"
    root.mkdir(parents=True)
    words = "cat dog car boat tree house bird horse apple chair".split()
    words += "table lamp book clock train plane flower bottle bed cup".split()
    for hop in range(0, 21, 2):
        lines = ["filename,caption"]
        for i, word in enumerate(words):
            rest = words[(i + 7) % 20] if hop > 2 + i % 8 else word
            lines.append(f'{i:03}.jpg,"A photo of a {word if hop < 12 else rest}, near a {rest}."')
        (root / f"gen-{hop}.csv").write_text("\n".join(lines), "utf-8")
    study = import_study(tmp_path, "semantic-drift", name="beta")
    chain = study.analysis.chains["beta text-first"]
    assert isinstance(chain.mcd, Estimate)
    assert chain.mcd.n == 20
    assert chain.mcd.lo is not None
    means = [estimate(study, "beta text-first", "cosine", g).value for g in range(1, 11)]
    assert chain.mcd.value == pytest.approx(np.mean(means))
    assert isinstance(chain.drift, DriftRate)
    assert chain.drift.b.n == 20
    assert isinstance(chain.endings, Endings)
    assert chain.endings.shares["fixed point"].value == 1.0
    assert loop_rows(study)[1][0] == "beta text-first"
    assert "arXiv 2509.04438" in markdown(study)


def test_generations_of_translation_with_their_own_scores() -> None:
    study = import_study(GOLDEN / "broken-telephone", "broken-telephone")
    rephrased = "news Alpha-7B rephrase"
    assert {c.name for c in study.grid.experiment.expanded()} == {SELF_LOOP, rephrased}
    assert [n.generation for n in study.analysis.nodes if n.chain == SELF_LOOP] == [2, 4]
    score = estimate(study, SELF_LOOP, "factscore", 2)
    assert (score.value, score.n) == (0.75, 2)
    assert str(score.signature) == "factscore|by:the imported study"
    empty = estimate(study, SELF_LOOP, "factscore", 4)
    assert (empty.value, empty.n) == (0.5, 1)  # the empty text counted 0 there; it is missing
    assert estimate(study, SELF_LOOP, "BLEU", 2).value == 0.375  # of the other file of the same run
    assert estimate(study, SELF_LOOP, "retention", 2).value > estimate(study, SELF_LOOP, "retention", 4).value
    french = [text for o in study.observations for text in o.texts.values() if "pommes" in text]
    assert french == []
    assert headline_rows(study)[0][1] == "share of the facts"


def test_figures_of_long_passages_are_what_they_were(tmp_path: Path) -> None:
    """The golden ones were made by plainer and slower code: facts to the letter, figures up to rounding."""
    study = import_study(GOLDEN / "passages", "broken-telephone")
    named = tables(study.grid, study.observations, study.analysis)
    made = {file.name: file for file in write_tables(tmp_path, named)}
    facts = hashlib.sha256(made["facts.csv"].read_bytes()).hexdigest()
    assert facts == "a9f4d0f4fccb1ef6bace6bba936eede2ef6ad3c5b149bc15f6acad33ba523ded"

    def key(row: dict[str, str]) -> tuple[str, ...]:
        return row["what"], row["part"], row["step"], row["failures"]

    found = {key({**row, "what": row["measure"]}): row for row in rows(made["figures.csv"])}
    for row in rows(made["survival.csv"]):
        found["hazard", row["kind"], row["hops"], ""] = {**row, "value": row["hazard"]}
    golden = rows(GOLDEN / "passages.csv")
    assert len(golden) == 72
    for row in golden:
        for column in ("value", "lo", "hi", "n"):
            have = found[key(row)][column]
            assert (float(have) if have else None) == (
                pytest.approx(float(row[column]), rel=1e-6) if row[column] else None
            )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no format 'x'; there are: semantic-drift, broken-telephone"):
        import_study(tmp_path, "x")
    with pytest.raises(UserError, match="there is no such folder"):
        import_study(tmp_path / "none", "semantic-drift")
    for format_ in ("semantic-drift", "broken-telephone"):
        with pytest.raises(BadInput, match=f"no results of the format {format_}"):
            import_study(tmp_path, format_)
    shutil.copytree(GOLDEN / "semantic-drift", tmp_path / "s")
    (tmp_path / "s" / "alpha" / "text-first" / "gen-2.csv").write_text("name,words\n0001,x\n")
    with pytest.raises(BadInput, match="needs the columns filename and caption"):
        import_study(tmp_path / "s", "semantic-drift")
    (tmp_path / "s" / "alpha" / "text-first" / "gen-2.csv").write_text("filename,caption\nother.png,x\n")
    with pytest.raises(BadInput, match="other is not in generation 0"):
        import_study(tmp_path / "s", "semantic-drift")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.json").write_text("{")
    with pytest.raises(BadInput, match=r"x\.json: it is not JSON"):
        import_study(tmp_path / "b", "broken-telephone")


def test_captions_in_latin_1_are_read(tmp_path: Path) -> None:
    root = tmp_path / "m" / "text-first"
    root.mkdir(parents=True)
    for hop in (0, 2, 4):
        (root / f"gen-{hop}.csv").write_bytes("filename,caption\n1.png,A café.\n".encode("latin-1"))
    study = import_study(tmp_path, "semantic-drift", name="m")
    assert study.observations[0].texts[2] == "A café."


def test_a_golden_file_is_what_the_studys_own_code_writes() -> None:
    """The keys that its evaluation writes, so that the reader is tested on the real layout."""
    (path,) = GOLDEN.glob("broken-telephone/**/Factuality/alpha_7b/news/*.json")
    state = json.loads(path.read_text("utf-8"))["A market"]["2"]
    assert set(state) == {
        "text",
        "factscore",
        "factscore_init_score",
        "factscore_respond_ratio",
        "factscore_num_facts_per_response",
    }
