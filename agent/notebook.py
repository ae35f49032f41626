"""Artifacts, hops, plans, losses and outputs in a notebook: the fragments of the page of a run, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from hopline.agent.hops.journal import Journal, ref_of
from hopline.agent.hops.records import ArtifactRef, Hop
from hopline.agent.loss.run import RunLoss
from hopline.agent.planning.plan import Plan
from hopline.tools.artifact import Artifact
from hopline.tools.errors import NotFound
from hopline.tools.notebook import draws

if TYPE_CHECKING:
    from hopline.agent.views.markup import Html

_JOURNALS: WeakSet[Journal] = WeakSet()


def remember(journal: Journal) -> None:
    """Hops name what they took and gave by digest; look for it in this journal's store too."""
    _JOURNALS.add(journal)


def _read(ref: ArtifactRef) -> Artifact:
    for journal in list(_JOURNALS):
        if journal.store.has(ref.id, ref.media_type):
            return journal.read(ref)
    raise NotFound(f"artifact {ref.id[:12]} is not in the store of an agent that is still here.")


def in_cell(fragment: Html) -> Html:
    """A fragment with the style sheet that it needs, on a ground of its own; the sheet touches nothing outside it."""
    from hopline.agent.views.markup import tag
    from hopline.agent.views.page import stylesheet

    ground = "background: var(--ground); padding: 0.75rem; border-radius: 8px"
    return tag("div", tag("style", stylesheet()), fragment, class_="hl", style=ground)


def artifact_html(artifact: Artifact) -> str:
    """A picture, a player or words."""
    from hopline.agent.views.artifact import artifact_fragment
    from hopline.agent.views.gallery import Gallery

    return in_cell(artifact_fragment(ref_of(artifact), Gallery(lambda ref: artifact)))


def hop_html(hop: Hop) -> str:
    """What went in, what came out, what was cut."""
    from hopline.agent.views.gallery import Gallery
    from hopline.agent.views.hop import hop_fragment

    return in_cell(hop_fragment(hop, Gallery(_read)))


def plan_html(plan: Plan) -> str:
    """The graph of a plan."""
    from hopline.agent.views.plan import plan_svg

    return in_cell(plan_svg(plan.to_json(), (), ()))


def loss_html(loss: RunLoss) -> str:
    """Where each fact was last seen."""
    from hopline.agent.views.facts import facts_svg
    from hopline.agent.views.facts_text import facts_summary, facts_table
    from hopline.agent.views.markup import tag

    data = loss.to_json()
    summary = facts_summary(data)
    table = tag("details", tag("summary", "The same as a table of words"), facts_table(data), class_="hl-more")
    return in_cell(tag("div", tag("p", summary, class_="hl-lead") if summary else None, facts_svg(data), table))


draws(Artifact, artifact_html)
draws(Hop, hop_html)
draws(Plan, plan_html)
draws(RunLoss, loss_html)
