"""What a paper needs of a study: a methods paragraph, tables for LaTeX, and whom to cite."""

from __future__ import annotations

from hopline.agent.experiments.study import Rows, Study
from hopline.agent.loss.drift import DriftRate
from hopline.agent.loss.estimate import Estimate
from hopline.agent.loss.survival import Survival

_HOPLINE = """@software{hopline,
  title = {hopline: chains of tools across modalities, and what each hop loses},
  year = {2026}
}"""
_CITED = {
    "telephone": """@misc{mollah2025telephone,
  title = {The Telephone Game: Evaluating Semantic Drift in Unified Models},
  author = {Mollah, Sabbir and Gupta, Rohit and Swetha, Sirnam and Liu, Qingyang and Munir, Ahnaf and Shah, Mubarak},
  year = {2025}, eprint = {2509.04438}, archivePrefix = {arXiv}
}""",
    "translation": """@article{mohamed2025llm,
  title = {LLM as a Broken Telephone: Iterative Generation Distorts Information},
  author = {Mohamed, Amr and Geng, Mingmeng and Vazirgiannis, Michalis and Shang, Guokan},
  journal = {arXiv preprint arXiv:2502.20258}, year = {2025}
}""",
    "survival": """@article{cormack1964estimates,
  title = {Estimates of survival from the sighting of marked animals},
  author = {Cormack, R. M.}, journal = {Biometrika}, volume = {51}, pages = {429--438}, year = {1964}
}

@article{jolly1965explicit,
  title = {Explicit estimates from capture-recapture data with both death and immigration: stochastic model},
  author = {Jolly, G. M.}, journal = {Biometrika}, volume = {52}, pages = {225--247}, year = {1965}
}

@article{seber1965note,
  title = {A note on the multiple-recapture census},
  author = {Seber, G. A. F.}, journal = {Biometrika}, volume = {52}, pages = {249--259}, year = {1965}
}

@article{kaplan1958nonparametric,
  title = {Nonparametric estimation from incomplete observations},
  author = {Kaplan, E. L. and Meier, Paul},
  journal = {Journal of the American Statistical Association}, volume = {53}, pages = {457--481}, year = {1958}
}""",
    "compared": """@article{holm1979simple,
  title = {A simple sequentially rejective multiple test procedure},
  author = {Holm, Sture}, journal = {Scandinavian Journal of Statistics}, volume = {6}, pages = {65--70}, year = {1979}
}""",
}


def methods(study: Study) -> str:
    """A paragraph that can stand in a paper; says only what was done."""
    experiment, corpus, analysis = study.grid.experiment, study.grid.corpus, study.analysis
    sent = f"{len(corpus.sources)} sources"
    if corpus.grammar:
        seed = experiment.sources.seed if experiment.sources.seed is not None else corpus.grammar.seed
        sent = (
            f"{len(corpus.sources)} probe messages of {corpus.grammar.bits:.1f} bits (grammar {corpus.grammar.name}, "
            f"seed {seed})"
        )
    expanded = experiment.expanded()
    arrow = " → "
    chains = "; ".join(
        f"{c.name}: {f'once {arrow.join(c.before)}, then ' if c.before else ''}{arrow.join(c.links)}, "
        f"{_count(c.generations, 'generation')}"
        for c in expanded
    )
    parts = [
        f"{sent} were sent through {_count(len(expanded), 'chain')} ({chains}), "
        f"{_count(experiment.repeats, 'repeat')}, seed {experiment.seed}.",
        f"Facts were read by {analysis.extractor} and measured against {analysis.against}.",
    ]
    if corpus.grammar:
        parts.append(
            "Slot bits are the Fano bound (1 − e)(log2 K − h(s) − s log2(K − 1)) of each slot, with e the share not "
            "read and s the share wrong among the read, summed, with the Miller-Madow correction."
        )
    parts.append(
        "Retention (facts of the source that arrive) and precision (facts said that the source says) are corrected for "
        "guessing, (r − g) / (1 − g), g being the same with outputs of other sources."
    )
    if any(isinstance(chain.survival, Survival) for chain in analysis.chains.values()):
        parts.append("Hazards are 1 − φ of a Cormack-Jolly-Seber model with one recall for each reader.")
    if any(isinstance(chain.mcd, Estimate) for chain in analysis.chains.values()):
        parts.append(
            "MCD is the mean over generations of the mean text cosine to the source, and SDR the rate b of "
            "a·exp(−b·g) + c fitted to it after g hops (arXiv 2509.04438), here with our sentence encoder alone."
        )
    if analysis.crossed:
        parts.append(
            "Shares of the variance between crossed chains are squared effects less their error over sources "
            "(repeated-measures ANOVA)."
        )
    if analysis.compared:
        parts.append("Chains are compared by source with a sign-flip test, Holm-corrected over metrics.")
    if study.people:
        parts.append(
            f"People rated {study.people.rated} facts without the machine's answers; the facts kept are corrected by "
            "prediction-powered inference with power tuning (PPI++, arXiv 2311.01453)."
        )
    parts.append(
        "Intervals are 95%, by bootstrap over sources; repeats of a source count as one source, and under 20 sources "
        "no interval is given."
    )
    return " ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def bibtex(study: Study) -> str:
    """hopline, and the papers behind the figures that this study has."""
    chains = study.analysis.chains.values()
    cited = []
    if any(isinstance(c.mcd, Estimate) or isinstance(c.drift, DriftRate) for c in chains):
        cited.append("telephone")
    if any(step.tool == "translation" for plan in study.grid.plans.values() for step in plan.steps):
        cited.append("translation")
    if any(isinstance(c.survival, Survival) for c in chains):
        cited.append("survival")
    if study.analysis.compared:
        cited.append("compared")
    return "\n\n".join([_HOPLINE, *(_CITED[key] for key in cited)])


def latex(rows: Rows, caption: str) -> str:
    """A table for a paper; needs booktabs."""
    lines = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(rows[0])}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {character: rf"\{character}" for character in "&%$#_{}"}
_TEX |= {"≥": r"$\geq$", "−": "$-$", "–": "--", "→": r"$\to$", "×": r"$\times$", "φ": r"$\varphi$", "…": r"\dots{}"}


def _tex(cell: str) -> str:
    return "".join(_TEX.get(character, character) for character in cell)
