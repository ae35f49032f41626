"""The analysis on fakes of known loss: factors, precision, sources without references, loops that settle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hopline.agent.experiments.across_chains import _crossed_levels
from hopline.agent.experiments.engine import LocalEngine
from hopline.agent.experiments.evidence import FIRST_TEXT
from hopline.agent.experiments.experiment import run_experiment, write_study
from hopline.agent.experiments.figures import Analysis
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.experiments.study import Study, generation_rows
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.endings import Endings
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.grammar import SPEECH
from hopline.agent.loss.score import Unscored
from hopline.agent.loss.shares import Shares
from hopline.agent.loss.survival import Survival
from hopline.agent.running.profile import Profile
from hopline.tools.fakes import fake_registry, spoken


def run(journal: Journal, *chains: dict[str, Any], folder: Path = Path(), **more: Any) -> Study:
    data = {"name": "fakes", "sources": {"grammar": "speech", "count": 24}, "chains": list(chains), **more}
    profile = Profile(name="fakes")
    return run_experiment(
        experiment_from(data, folder=folder),
        journal=journal,
        registry=fake_registry(),
        profile=profile,
        engine=LocalEngine(registry=fake_registry(), profile=profile, journal=journal, lanes=2),
    )


def last(analysis: Analysis, chain: str, measure: str, part: str = "all") -> Estimate:
    node = analysis.last(chain)
    assert node is not None
    found = analysis.of(node, measure, part)
    assert isinstance(found, Estimate)
    return found


def test_the_factor_that_loses_more_matters_more(journal: Journal) -> None:
    chain = {
        "name": "{spoken} {heard}",
        "chain": "text_to_speech:fake:drop={spoken} | speech_to_text:fake:drop={heard}",
        "factors": {"spoken": [0.0, 0.6], "heard": [0.0, 0.15]},
    }
    analysis = run(journal, chain, sources={"grammar": "speech", "count": 40}).analysis
    crossed = {c.metric: c.shares for c in analysis.crossed}
    shares = crossed["facts kept"]
    assert isinstance(shares, Shares)
    lead = shares.lead["spoken", "heard"]
    assert lead.lo is not None
    assert lead.lo > 0
    assert shares.terms["spoken",].value > 0.6
    none, much = shares.effects["spoken"]
    assert none.value == pytest.approx(-much.value)
    assert none.value > 0.1
    assert analysis.crossed[0].levels == {"spoken": ("0.0", "0.6"), "heard": ("0.0", "0.15")}


def test_chains_that_cross_no_factors_have_no_shares(journal: Journal) -> None:
    plain = {"name": "a", "chain": "text_to_speech:fake | speech_to_text:fake"}
    half = {"name": "b {x}", "chain": "text_to_speech:fake:drop={x} | speech_to_text:fake", "factors": {"x": [0.5]}}
    assert run(journal, plain, half, sources={"grammar": "speech", "count": 3}).analysis.crossed == ()


def test_swapped_words_cost_precision_as_well_as_retention_and_dropped_ones_do_not(journal: Journal) -> None:
    chains = [
        {"name": kind, "chain": f"text_to_speech:fake:{kind}=0.4 | speech_to_text:fake"} for kind in ("drop", "swap")
    ]
    analysis = run(journal, *chains).analysis
    dropped, swapped = (last(analysis, kind, "precision").value for kind in ("drop", "swap"))
    assert dropped > swapped + 0.1
    assert swapped < 0.7
    for kind in ("drop", "swap"):
        assert last(analysis, kind, "retention").value < 0.7
    corrected = last(analysis, "swap", "precision")
    assert "of shuffled outputs" in corrected.method
    assert str(corrected.signature).startswith("precision|")


def test_where_chains_were_left_out_the_rest_of_the_cross_is_used() -> None:
    cells = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")]  # c y could not be run
    assert _crossed_levels(("drawer", "reader"), cells) == {"drawer": ("a", "b"), "reader": ("x", "y")}
    assert _crossed_levels(("drawer",), [("a",), ("b",)]) == {"drawer": ("a", "b")}


def test_repeats_tell_how_much_the_same_hops_differ(journal: Journal) -> None:
    chains = [
        {"name": "same", "chain": "text_to_speech:fake | speech_to_text:fake"},
        {"name": "chance", "chain": "text_to_speech:fake:drop=0.3 | speech_to_text:fake"},
    ]
    again = run(journal, *chains, repeats=2).analysis.again
    same, chance = again["same"]["facts kept"], again["chance"]["facts kept"]
    assert isinstance(same, Estimate)
    assert isinstance(chance, Estimate)
    assert (same.value, same.n) == (1.0, 24)
    assert chance.value < 0.9


def test_of_two_hops_by_the_same_tool_the_table_says_which(journal: Journal) -> None:
    study = run(journal, {"name": "there and back", "chain": "translation:fickle | translation:fickle"})
    assert [row[2] for row in generation_rows(study)[1:3]] == ["Translation, hop 1", "Translation, hop 2"]


def test_the_floor_is_what_paraphrases_read(journal: Journal) -> None:
    floor = run(journal, {"name": "a", "chain": "text_to_speech:fake | speech_to_text:fake"}).analysis.floor
    kept, wer = floor["facts kept"], floor["wer"]
    assert isinstance(kept, Estimate)
    assert isinstance(wer, Estimate)
    assert kept.value >= 0.97
    assert wer.value > 0.1  # words change although nothing is lost


def test_without_references_later_texts_are_measured_against_the_first(journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number, message in enumerate(SPEECH.messages(24)):
        (folder / f"{number:02}.wav").write_bytes(spoken(message.text).data)
    chain = {
        "name": "loop",
        "chain": "speech_to_text:fake | text_to_speech:fake:drop=0.2",
        "generations": 3,
    }
    analysis = run(journal, chain, folder=tmp_path, sources={"folder": "recordings"}).analysis
    assert analysis.against == FIRST_TEXT
    first, second, third = analysis.nodes
    found = analysis.of(first, "retention")
    assert isinstance(found, Unscored)
    assert found.reason == "no reference"
    later = [analysis.of(node, "retention") for node in (second, third)]
    assert all(isinstance(figure, Estimate) for figure in later)
    assert later[0].value > later[1].value > 0.2  # type: ignore[union-attr]  # asserted above
    whole = analysis.chains["loop"]
    assert whole.first == 1
    assert isinstance(whole.survival, Survival)
    assert [leg.hops for leg in whole.survival.legs] == [(1, 2), (3, 4), (5,)]


def test_a_loop_that_changes_nothing_settles_at_once(journal: Journal, tmp_path: Path) -> None:
    null = {"name": "null", "chain": "text_to_speech:fake | speech_to_text:fake", "generations": 3}
    lossy = {"name": "lossy", "chain": "text_to_speech:fake:drop=0.3 | speech_to_text:fake", "generations": 3}
    study = run(journal, null, lossy)
    endings = {name: chain.endings for name, chain in study.analysis.chains.items()}
    settled = endings["null"]
    assert isinstance(settled, Endings)
    assert settled.shares["fixed point"].value == 1.0
    assert settled.median == 0.0
    changing = endings["lossy"]
    assert isinstance(changing, Endings)
    assert changing.shares["fixed point"].value < 0.2
    names = {file.stem for file in write_study(study, tmp_path) if file.suffix == ".parquet"}
    assert {"chains", "factors", "floor"} <= names


def test_every_table_opens_in_duckdb_with_the_types_it_says(journal: Journal, tmp_path: Path) -> None:
    import duckdb

    chain = {
        "name": "drops {drop}",
        "chain": "text_to_speech:fake:drop={drop} | speech_to_text:fake",
        "generations": 2,
        "factors": {"drop": [0.0, 0.4]},
    }
    files = {f.stem: f for f in write_study(run(journal, chain), tmp_path) if f.suffix == ".parquet"}
    with duckdb.connect() as connection:
        for name, file in files.items():
            rows = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(file)]).fetchone()
            lines = len(file.with_suffix(".csv").read_text("utf-8").splitlines()) - 1
            assert rows is not None
            assert 0 < rows[0] <= lines, name  # a text may have lines of its own
        kept = connection.execute(
            "SELECT chain, avg((status = 'kept')::int) FROM read_parquet(?) WHERE status != 'invented' AND step = 4"
            " GROUP BY chain ORDER BY chain",
            [str(files["facts"])],
        ).fetchall()
    assert kept[0] == ("drops 0.0", 1.0)
    assert kept[1][1] < 0.6
