"""What works here, what is missing, and the command that brings it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from hopline.agent.running.profile import Profile
from hopline.tools.backend import Backend
from hopline.tools.errors import HoplineError
from hopline.tools.models import Model, manifest
from hopline.tools.registry import Registry

ENCODER_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""Read by the typed planner and by the measurement of loss, whatever the profile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Whether one tool can be called with a profile.

    Attributes:
        tool: its name.
        backend: the one the profile chose; empty when none.
        ready: it can be called now.
        missing: what is not here, a phrase each.
        commands: what brings it, in order.
        download_bytes: of the models that are missing.
        optional: what is missing is large, and the profile does without it or does not ask for it.
    """

    tool: str
    backend: str
    ready: bool
    missing: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    download_bytes: int = 0
    optional: bool = False


def readiness(registry: Registry, profile: Profile) -> Iterator[Readiness]:
    """Look at every declared tool; imports nothing heavy and loads nothing."""
    for tool in registry:
        try:
            backend = profile.choose(registry, tool.name)
        except HoplineError:
            yield Readiness(tool=tool.name, backend="", ready=False, missing=("no backend in this profile",))
            continue
        yield readiness_of(backend, profile)
    for name, error in registry.absent.items():
        yield Readiness(tool=f"{name}_…", backend="", ready=False, missing=(str(error),))


def readiness_of(backend: Backend, profile: Profile) -> Readiness:
    """Whether a backend can be called with a profile, and what it lacks; imports nothing heavy and loads nothing."""
    packages = [p for p in backend.packages if importlib.util.find_spec(p) is None]
    models = [manifest()[m] for m in backend.models if not manifest()[m].present]
    others = backend.missing()
    missing = [f"package {p}" for p in packages] + [f"model {m.name}" for m in models] + [o.what for o in others]
    commands = []
    if packages:
        commands.append(f"pip install 'hopline[{backend.extra}]'" if backend.extra else "pip install hopline")
    if models:
        names = [profile.name if m.name not in profile.large_models else m.name for m in models]
        commands += [f"hopline models pull {name}" for name in dict.fromkeys(names)]
    commands += dict.fromkeys(other.command for other in others)
    return Readiness(
        tool=backend.tool,
        backend=backend.id,
        ready=not missing,
        missing=tuple(missing),
        commands=tuple(commands),
        download_bytes=sum(m.download_size for m in models) + sum(o.download_bytes for o in others),
        optional=any(name in profile.large_models for name in backend.models)
        or (backend.large and backend.tool not in profile.backends),
    )


def callable_backends(registry: Registry, profile: Profile, tool: str) -> list[str]:
    """Ids of the backends of a tool that this profile allows and that can be called now."""
    named = [profile.backends.get(tool, ""), *(reader for readers in profile.readers.values() for reader in readers)]
    wanted = dict.fromkeys(name for name in named if name.partition(":")[0] == tool)
    # A backend that the profile names with its model is not offered without one.
    plain = (f"{tool}:{kind.name}" for kind in registry.backends(tool))
    wanted.update(dict.fromkeys(p for p in plain if not any(f"{name}:".startswith(f"{p}:") for name in wanted)))
    found = []
    for name in wanted:
        try:
            backend = profile.choose(registry, tool, name)
        except HoplineError:
            continue
        if readiness_of(backend, profile).ready:
            found.append(backend.id)
    return found


def is_ready(backend: Backend) -> bool:
    """Nothing that a backend needs is missing; imports nothing heavy and loads nothing."""
    packages = all(importlib.util.find_spec(package) is not None for package in backend.packages)
    return packages and all(manifest()[model].present for model in backend.models) and not backend.missing()


def models_of(registry: Registry, profile: Profile) -> list[Model]:
    """The models of the manifest that a profile reads, each once."""
    names = dict.fromkeys([ENCODER_MODEL, *profile.models])
    for backend in backends_of(registry, profile):
        names.update(dict.fromkeys(backend.models))
    return [manifest()[name] for name in names]


def backends_of(registry: Registry, profile: Profile) -> list[Backend]:
    """The backends that a profile may call, readers included, each once."""
    found: dict[str, Backend] = {}
    wanted: list[tuple[str, str | None]] = [(tool.name, None) for tool in registry]
    wanted += [(reader.partition(":")[0], reader) for readers in profile.readers.values() for reader in readers]
    for tool, backend_id in wanted:
        try:
            backend = profile.choose(registry, tool, backend_id)
        except HoplineError:
            continue
        found[backend.id] = backend
    return list(found.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """One thing that a profile uses and its licence."""

    kind: str
    name: str
    version: str
    licence: str
    attribution: str = ""


def licences(registry: Registry, profile: Profile) -> list[Licence]:
    """Packages and models that a profile's backends use, with the licence each declares."""
    rows = [Licence(kind="code", name="hopline", version=_version("hopline"), licence="Apache-2.0")]
    seen: set[str] = set()
    by_import = metadata.packages_distributions()
    for backend in backends_of(registry, profile):
        for package in backend.packages:
            name = by_import.get(package, [package])[0]
            if name not in seen:
                seen.add(name)
                rows.append(Licence(kind="code", name=name, version=_version(name), licence=_licence(name, backend)))
    rows += [
        Licence(kind="model", name=m.name, version=m.digest[:12], licence=m.licence, attribution=m.attribution)
        for m in models_of(registry, profile)
    ]
    return rows


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _licence(name: str, backend: Backend) -> str:
    try:
        data = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return backend.licence or "unknown: not installed"
    classifiers = [c.rpartition(" :: ")[2] for c in data.get_all("Classifier") or [] if c.startswith("License ::")]
    fields = data.json
    written = str(fields.get("license_expression") or fields.get("license") or "").strip()
    short = written if len(written) < 60 and "\n" not in written else ""
    return short or "; ".join(classifiers) or backend.licence or "unknown"
