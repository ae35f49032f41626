"""Prints what the measurement of loss must prove, bar by bar, with what was measured.

Exit code 1 if a bar is missed that is not known to be. Without `--full` in a size that fits into CI.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import proving
from proving.row import Row


def rows(full: bool, only: str) -> Iterator[Row]:
    """The rows of all modules of `proving`, in the order of their names."""
    for module in sorted(m.name for m in pkgutil.iter_modules(proving.__path__)):
        if module != "row" and only in module:
            yield from importlib.import_module(f"proving.{module}").rows(full)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the whole size of every proof")
    parser.add_argument("--only", default="", help="modules whose name holds this word")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for row in rows(options.full, options.only):
        found.append(row)
        if not options.json:
            print(f"{'met   ' if row.met else 'MISSED'}  {row.test}", flush=True)
            print(f"        bar {row.bar}\n        got {row.measured}", flush=True)
            if row.known and not row.met:
                print(f"        known: {row.known}", flush=True)
    missed = [row.test for row in found if not row.met and not row.known]
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in found], "missed": missed}))
    else:
        print(
            f"{sum(row.met for row in found)} of {len(found)} bars met, {time.process_time():.0f} s of processor time"
        )
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
