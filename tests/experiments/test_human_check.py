"""A sample for people and what they wrote: blind, repeatable, and proven on raters whose answers are planted."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.experiments.experiment import run_experiment
from hopline.agent.experiments.ratings import agreement_rows, corrected_rows, keep_ratings, people_of, read_ratings
from hopline.agent.experiments.report import html
from hopline.agent.experiments.sampling import all_cells, draw_cells, statement, write_sample
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.experiments.study import Study, corrected
from hopline.agent.hops.journal import Journal
from hopline.agent.loss.agreement import Agreement
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.facts import Fact
from hopline.agent.running.profile import Profile
from hopline.tools.errors import BadInput, UserError
from hopline.tools.fakes import fake_registry

WORDS = {"kept": "same", "altered": "other", "missing": "no"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Pictures that lose words."""
    chain: dict[str, Any] = {
        "name": "drops {drop}",
        "chain": "text_to_image:fake:drop={drop} | image_captioning:fake",
        "generations": 2,
        "factors": {"drop": [0.0, 0.4]},
    }
    experiment = experiment_from({"name": "seen", "sources": {"grammar": "picture", "count": 24}, "chains": [chain]})
    with Journal(tmp_path_factory.mktemp("home")) as journal:
        yield run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill(folder: Path, name: str, answer: Callable[[dict[str, str]], str]) -> Path:
    """A copy of the table as one person filled it in, who knows what the key says."""
    key = {row["cell"]: row for row in rows(folder / "key.csv")}
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";" if name == "ben" else ",")
        writer.writerow(["item", "cell", "rater", "answer", "note"])
        for row in rows(folder / "ratings.csv"):
            writer.writerow([row["item"], row["cell"], name, answer(key[row["cell"]]), ""])
    return path


def test_a_sample_is_blind_whole_and_repeatable(study: Study, tmp_path: Path) -> None:
    cells = draw_cells(all_cells(study), 60, seed=3)
    chosen = [cell for cell in cells if cell.item]
    assert sorted(cell.item for cell in chosen) == list(range(1, 61))
    counts = {
        (chain, modality): sum(c.chain == chain and c.modality == modality for c in chosen)
        for chain in ("drops 0.0", "drops 0.4")
        for modality in ("text", "image")
    }
    assert set(counts.values()) == {15}
    again = draw_cells(all_cells(study), 60, seed=3)
    assert [(c.id, c.item) for c in again] == [(c.id, c.item) for c in cells]
    other = draw_cells(all_cells(study), 60, seed=4)
    assert {c.id for c in other} == {c.id for c in cells}  # ids are stable
    assert [c.item for c in other] != [c.item for c in cells]

    sheet, ratings, key = write_sample(study, cells, tmp_path / "sample")
    page = sheet.read_text("utf-8")
    assert page.count("<img ") == 30
    assert page.count("data:image/png;base64,") == 30
    told = page.lower()
    for hint in ("drops 0", "kept", "altered", "missing", "generation", "chain", "image_captioning", "picture-0"):
        assert hint not in told.replace("</style>", "\0").partition("\0")[2], hint
    table = rows(ratings)
    assert [int(row["item"]) for row in table] == list(range(1, 61))
    assert {row["answer"] for row in table} == {""}
    assert len(rows(key)) == len(cells)
    with pytest.raises(UserError, match=r"ratings\.csv is there already"):
        write_sample(study, cells, tmp_path / "sample")


def test_a_rater_who_sees_what_the_machine_says_agrees_and_corrects_nothing(study: Study, tmp_path: Path) -> None:
    write_sample(study, draw_cells(all_cells(study), 120), tmp_path)
    check = read_ratings([fill(tmp_path, "anna", lambda row: WORDS[row["machine"]])])
    whole = check.with_machine["all", "all"]
    assert isinstance(whole, Agreement)
    assert whole.raw.value == 1.0
    assert isinstance(whole.kappa, Estimate)
    assert whole.kappa.value == pytest.approx(1.0)
    assert {modality for modality, _ in check.with_machine} == {"all", "text", "image"}
    assert ("image", "colour") in check.with_machine
    for machine, by_people in check.kept.values():
        assert isinstance(by_people, Estimate)
        assert by_people.value == pytest.approx(machine, abs=0.02)
    assert check.between == {}


def test_what_the_machine_misses_is_put_right(study: Study, tmp_path: Path) -> None:
    """People find a third of what the machine called missing."""
    write_sample(study, draw_cells(all_cells(study), 400), tmp_path)
    chance = random.Random(5)

    def sees(row: dict[str, str]) -> str:
        return "same" if row["machine"] == "missing" and chance.random() < 1 / 3 else WORDS[row["machine"]]

    machine, by_people = read_ratings([fill(tmp_path, "anna", sees)]).kept["drops 0.4"]
    key = [r for r in rows(tmp_path / "key.csv") if (r["modality"], r["chain"]) == ("text", "drops 0.4")]
    gone = sum(row["machine"] == "missing" for row in key) / len(key)
    assert isinstance(by_people, Estimate)
    assert by_people.lo is not None
    assert by_people.lo <= machine + gone / 3 <= by_people.hi  # type: ignore[operator]  # both ends or none
    assert by_people.value > machine + 0.05


def test_several_raters_and_ties(study: Study, tmp_path: Path) -> None:
    write_sample(study, draw_cells(all_cells(study), 40), tmp_path)
    anna = fill(tmp_path, "anna", lambda row: WORDS[row["machine"]])
    ben = fill(tmp_path, "ben", lambda row: "no" if int(row["item"]) <= 10 else WORDS[row["machine"]])
    carl = fill(tmp_path, "carl", lambda row: "unclear" if int(row["item"]) <= 20 else "")
    check = read_ratings([anna, ben, carl])
    between = check.between["anna", "ben"]
    assert isinstance(between, Agreement)
    items = {int(row["item"]): row["machine"] for row in rows(tmp_path / "key.csv") if row["item"]}
    split = sum(items[number] != "missing" for number in range(1, 11))
    assert between.cells == 40
    assert between.raw.value == pytest.approx(1 - split / 40)
    assert check.unsure == split
    assert check.rated == 40
    assert agreement_rows(check)[-1][0] == "ben and carl"
    assert corrected_rows(check)[0][0] == "chain"


def test_ratings_are_kept_and_stand_in_the_report(study: Study, tmp_path: Path) -> None:
    """A person's newest word counts, others' stay; what was seen and is gone does not count."""
    write_sample(study, draw_cells(all_cells(study), 60), tmp_path)
    anna = fill(tmp_path, "anna", lambda row: "no")
    assert people_of(study, tmp_path) is None
    path = keep_ratings([anna], tmp_path)
    assert path == tmp_path / "ratings" / "seen.csv"
    keep_ratings([fill(tmp_path, "ben", lambda row: WORDS[row["machine"]])], tmp_path)
    keep_ratings([fill(tmp_path, "anna", lambda row: WORDS[row["machine"]])], tmp_path)
    check = people_of(study, tmp_path)
    assert check is not None
    assert (check.rated, check.unsure, check.gone) == (60, 0, 0)
    assert check.between["anna", "ben"].raw.value == 1.0  # type: ignore[union-attr]  # both rated all
    assert check.kept == read_ratings([tmp_path / "anna.csv"]).kept

    with path.open("a") as file:
        file.write("0123456789,anna,same\n")
    later = people_of(study, tmp_path)
    assert later is not None
    assert (later.rated, later.gone) == (60, 1)
    page = html(replace(study, people=later), [])
    assert "1 more are left out: what people saw is no longer in the experiment" in page
    assert page.count("facts kept, corrected by people: ") == 2


def test_the_share_of_the_facts_is_corrected_for_guessing_too(tmp_path: Path) -> None:
    """People who see what the machine sees leave the headline where it is; who see nothing bring it below chance."""
    things = "cat dog horse bird boat house tree apple".split()
    texts = [f"{3 + n % 5} {things[n % 8]}s and a {things[(n + 3) % 8]} on {n} boats." for n in range(24)]
    (tmp_path / "t.txt").write_text("\n".join(texts))
    chain = {"name": "worn", "chain": "text_to_speech:fake:drop=0.3 | speech_to_text:fake"}
    experiment = experiment_from(
        {"name": "free", "sources": {"texts": "t.txt"}, "chains": [chain], "measures": []}, folder=tmp_path
    )
    with Journal(tmp_path / "home") as journal:
        study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
        write_sample(study, draw_cells(all_cells(study), 1000), tmp_path)
        told = {}
        for name, sees in (("anna", lambda row: WORDS[row["machine"]]), ("ben", lambda row: "no")):
            keep_ratings([fill(tmp_path, name, sees)], tmp_path / name)
            people = people_of(study, tmp_path / name)
            told[name] = corrected(replace(study, people=people), "worn")
    headline = study.analysis.of(study.analysis.nodes[-1], "retention")
    assert isinstance(headline, Estimate)
    same, none = told["anna"], told["ben"]
    assert isinstance(same, Estimate)
    assert isinstance(none, Estimate)
    assert same.value == pytest.approx(headline.value, abs=1e-6)
    assert same.lo == pytest.approx(headline.lo, abs=0.05)
    assert same.hi == pytest.approx(headline.hi, abs=0.05)
    assert none.value < 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,{cell},a,yes,", "line 2: 'yes' is no answer; they are same, other, no, unclear"),
        ("1,nothere,a,same,", "line 2: the key has no cell 'nothere'"),
        ("1,{cell},a,same,\n1,{cell},a,no,", "line 3: a rated {cell} twice"),
    ],
)
def test_broken_tables_are_refused(study: Study, tmp_path: Path, line: str, words: str) -> None:
    write_sample(study, draw_cells(all_cells(study), 5), tmp_path)
    cell = rows(tmp_path / "ratings.csv")[0]["cell"]
    path = tmp_path / "bad.csv"
    path.write_text("item,cell,rater,answer,note\n" + line.format(cell=cell))
    with pytest.raises(BadInput) as refused:
        read_ratings([path])
    assert words.format(cell=cell) in str(refused.value)


def test_tables_that_are_not_there_or_empty(study: Study, tmp_path: Path) -> None:
    write_sample(study, draw_cells(all_cells(study), 5), tmp_path)
    with pytest.raises(UserError, match="nobody rated anything"):
        read_ratings([tmp_path / "ratings.csv"])
    with pytest.raises(UserError, match="No such file"):
        read_ratings([tmp_path / "gone.csv"])
    anna = fill(tmp_path, "anna", lambda row: "no")
    (tmp_path / "key.csv").write_text((tmp_path / "key.csv").read_text().replace("seen,", "../x,"))
    with pytest.raises(BadInput, match=r"'\.\./x' is no name of an experiment"):
        keep_ratings([anna], tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="no column 'item'"):
        read_ratings([tmp_path / "other.csv"])


def test_statements_ask_for_one_thing() -> None:
    fact = Fact(id="count:ladder", type="count", slot="object:ladder", value="3", text="Three orange ladders")
    assert statement(fact) == "ladder, how many: 3"
    colour = Fact(id="colour:ladder", type="colour", slot="object:ladder#2", value="orange", text="orange ladder")
    assert statement(colour) == "ladder, its colour: orange"
