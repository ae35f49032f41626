"""The closed lists of `tables.toml`, read once."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


@cache
def table(name: str) -> dict[str, str]:
    """One table of the file: its entries by name, as written."""
    return dict(_all()[name])


@cache
def words(table_name: str, entry: str) -> frozenset[str]:
    """The words of one entry."""
    return frozenset(table(table_name)[entry].split())


@cache
def ordered(table_name: str, entry: str) -> tuple[str, ...]:
    """The words of one entry in their order."""
    return tuple(table(table_name)[entry].split())


@cache
def pairs(table_name: str, entry: str) -> dict[str, str]:
    """An entry of `word=other` pairs."""
    return dict(pair.split("=", 1) for pair in table(table_name)[entry].split())


@cache
def inverted(table_name: str, separator: str | None = None) -> dict[str, str]:
    """Every word of a table to the name of its entry."""
    return {word: name for name, text in table(table_name).items() for word in text.split(separator)}


@cache
def _all() -> dict[str, dict[str, str]]:
    return tomllib.loads(files(__package__).joinpath("tables.toml").read_text("utf-8"))
