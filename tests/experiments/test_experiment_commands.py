"""`hopline experiment sample`, `import-ratings` and `import` as a person calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.faces.cli import app
from typer.testing import CliRunner

GOLDEN = Path(__file__).parent / "golden"


def as_json(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["experiment", *map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.models
def test_from_an_experiment_to_what_people_say_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("drawn.toml").write_text(
        'name = "drawn"\n[sources]\ngrammar = "picture"\ncount = 2\n[[chains]]\nname = "small"\n'
        'chain = "text_to_image:pictograms | shrink(side=64) | image_captioning:exemplar"\n'
    )
    ran = as_json("run", "drawn.toml")
    assert (ran["format"], ran["completed"], ran["trajectories"]) == ("hopline.experiment/1", 2, 2)
    drawn = as_json("sample", "drawn.toml", "-n", 8, "--seed", 1)
    assert drawn["format"] == "hopline.experiment-sample/1"
    assert (drawn["items"], Path(drawn["sheet"]).name) == (8, "sheet.html")

    table = Path(drawn["ratings"])
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    filled = Path("anna.csv")
    with filled.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "rater": "anna", "answer": "no"} for row in rows)
    said = as_json("import-ratings", filled, "--key", drawn["key"])
    assert (said["format"], said["rated"], said["unsure"]) == ("hopline.experiment-ratings/1", 8, 0)
    assert said["kept"][0]["chain"] == "small"
    assert said["kept"][0]["corrected by people"] == "0.00"
    assert {row["what"] for row in said["agreement"]} == {"all", "text", "image"}

    shown = CliRunner().invoke(app, ["experiment", "import-ratings", str(filled), "--key", drawn["key"]])
    assert "facts kept, by the machine" in shown.stdout

    # From now on every report has it, beside the headline too.
    told = as_json("report", "drawn.toml")["headline"][0]
    assert (told["facts kept, corrected by people"], told["sources rated"]) == ("0.00", "2")
    page, summary = (Path("drawn", name).read_text("utf-8") for name in ("report.html", "report.md"))
    assert "facts kept, corrected by people: 0.00 · 2 sources rated" in page
    assert "What people say" in page
    assert "8 facts were rated, 0 of them unsure." in page
    assert "## What people say: agreement" in summary
    assert "| the machine | image | all | " in summary
    assert "People rated 8 facts" in summary
    assert as_json("run", "drawn.toml")["headline"][0] == told


def test_results_of_another_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = as_json("import", GOLDEN / "broken-telephone", "--format", "broken-telephone", "--name", "theirs")
    assert told["name"] == "theirs"
    assert [row["chain"] for row in told["headline"]] == ["news Alpha-7B rephrase", "news Alpha-7B en-fr-en"]
    assert Path("theirs/report.html").is_file()
    assert Path("theirs/tables/figures.parquet").is_file()
