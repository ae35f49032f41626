"""Experiments: chains over a corpus for some generations, and what of it arrived.

from hopline.agent.experiments import read_experiment, run_experiment, write_study
study = run_experiment(read_experiment(Path("speech-loop.toml")), journal=journal)
"""

from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import TYPE_CHECKING

from hopline.tools.errors import MissingExtra

if importlib.util.find_spec("scipy") is None:
    raise MissingExtra("an experiment needs scipy.", hint="pip install 'hopline[experiments]'")

if TYPE_CHECKING:
    from hopline.agent.experiments.experiment import (
        Check,
        check_experiment,
        run_experiment,
        stored_study,
        write_study,
    )
    from hopline.agent.experiments.importing import import_study
    from hopline.agent.experiments.ratings import HumanCheck, read_ratings
    from hopline.agent.experiments.sampling import all_cells, draw_cells, write_sample
    from hopline.agent.experiments.spec import Experiment, experiment_from, read_experiment
    from hopline.agent.experiments.study import Study

_HOMES = {
    "Check": "experiment",
    "Experiment": "spec",
    "HumanCheck": "ratings",
    "Study": "study",
    "all_cells": "sampling",
    "check_experiment": "experiment",
    "draw_cells": "sampling",
    "experiment_from": "spec",
    "import_study": "importing",
    "read_experiment": "spec",
    "read_ratings": "ratings",
    "run_experiment": "experiment",
    "stored_study": "experiment",
    "write_sample": "sampling",
    "write_study": "experiment",
}

__all__ = [
    "Check",
    "Experiment",
    "HumanCheck",
    "Study",
    "all_cells",
    "check_experiment",
    "draw_cells",
    "experiment_from",
    "import_study",
    "read_experiment",
    "read_ratings",
    "run_experiment",
    "stored_study",
    "write_sample",
    "write_study",
]


def __getattr__(name: str) -> object:
    # Loaded on first use, so that importing a part of the package does not import all of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
