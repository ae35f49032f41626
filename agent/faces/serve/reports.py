"""Reports of experiments: which there are, and what each says in short."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hopline.agent.views.markup import Html, tag
from hopline.agent.views.words import moment

PAGE = "report.html"
_DEEP = ("", "*/", "*/*/", "*/*/*/")
_MOST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A report that an experiment wrote.

    Attributes:
        name: its folder, below the one that is looked through.
        page: the file.
    """

    name: str
    page: Path

    @property
    def id(self) -> str:
        """Names it in an address, whatever its folder is called."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def written(self) -> str:
        """When, as ISO 8601."""
        return datetime.fromtimestamp(self.page.stat().st_mtime, UTC).isoformat()

    def headline(self) -> list[list[str]]:
        """The first table of its summary: what arrived, chain by chain."""
        rows = []
        for line in self.page.with_suffix(".md").read_text("utf-8", errors="replace").splitlines():
            if line.startswith("| "):
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
            elif rows:
                break
        return [row for row in rows if set("".join(row)) - set("- ")]


def reports_in(folder: Path | None) -> list[Report]:
    """Reports in a folder and three levels below, the newest first; only what an experiment wrote.

    A link that leads out of the folder is not followed.
    """
    if folder is None:
        return []
    return sorted(_found(folder.resolve()), key=lambda report: report.written, reverse=True)[:_MOST]


def _found(folder: Path) -> Iterator[Report]:
    for deep in _DEEP:
        for page in folder.glob(f"{deep}{PAGE}"):
            beside = page.with_suffix(".md").is_file() and page.with_name("tables").is_dir()
            if beside and page.resolve() == page:
                below = page.parent.relative_to(folder).as_posix()
                yield Report(name=page.parent.name if below == "." else below, page=page)


def reports_fragment(reports: list[Report]) -> Html:
    """The list of reports, each with its headline and a link."""
    if not reports:
        words = "An experiment sends many sources through chains and says what arrives, with intervals:"
        command = tag("code", "hopline experiment run examples/experiments/speech-loop.toml")
        return tag("div", tag("h1", "No reports yet"), tag("p", words), tag("p", command), class_="hl hl-start")
    shown = [tag("li", _card(report)) for report in reports]
    return tag(
        "div", tag("h1", "Reports"), tag("ul", shown, class_="hl-plain hl-hops", role="list"), class_="hl hl-start"
    )


def _card(report: Report) -> Html:
    head, *rows = report.headline() or [[]]
    cells = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows]
    table = tag("table", tag("thead", tag("tr", [tag("th", c, scope="col") for c in head])), tag("tbody", cells))
    return tag(
        "article",
        tag("h2", tag("a", report.name, href=f"/reports/{report.id}", target="_blank", rel="noopener")),
        tag("p", "written ", moment(report.written), class_="hl-muted"),
        tag("div", table, class_="hl-scroll", tabindex=0, role="region", aria_label=f"Headline of {report.name}")
        if rows
        else None,
        class_="hl-hop",
    )
