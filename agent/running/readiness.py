"""What works here, what is missing, and the command that brings it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

from hopline.agent.running.profile import Profile, load_profile
from hopline.tools.backend import Backend, Missing
from hopline.tools.errors import HoplineError
from hopline.tools.hub import is_hub_id, known, revision_of
from hopline.tools.machine import Machine
from hopline.tools.models import Model, manifest
from hopline.tools.pretrained import Pretrained
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

ENCODER_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""Read by the typed planner and by the measurement of loss, whatever the profile."""


EXTRA_BYTES: Mapping[str, int] = {
    "stt": 117_000_000,
    "tts": 68_000_000,
    "ocr": 120_000_000,
    "pictograms": 91_000_000,
    "encoder": 47_000_000,
    "media": 37_000_000,
    "loss": 61_000_000,
    "heic": 6_000_000,
    "image": 251_000_000,
    "local-llm": 34_000_000,
    "ollama": 1_000_000,
    "openai": 5_000_000,
    "experiments": 103_000_000,
    "web": 53_000_000,
    "mcp": 6_000_000,
    "trace": 1_000_000,
}
"""About what pip downloads for an extra beside the base (x86-64 Linux, November 2026), less where it shares packages
with one that is here. `image` is with a torch for processors alone; PyPI's for Linux brings gigabytes for graphics
cards."""

PARTS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "planning": ("encoder", ("onnxruntime", "onnx", "tokenizers", "safetensors"), (ENCODER_MODEL,)),
    "loss": ("loss", ("jiwer", "pystoi", "sacrebleu", "skimage", "scipy"), ()),
    "experiment": ("experiments", ("duckdb", "matplotlib", "scipy"), ()),
    "serve": ("web", ("gradio",), ()),
    "mcp": ("mcp", ("mcp",), ()),
    "traces": ("trace", ("opentelemetry",), ()),
    "HEIC pictures": ("heic", ("pillow_heif",), ()),
}
"""What is no tool: its extra, the packages that it needs, and the models of the manifest that it reads."""

_PULLS = ("hopline models pull ", "ollama pull ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Whether one tool can be called by one backend, or something beside the tools works.

    Attributes:
        tool: its name.
        backend: which; empty where the profile has none, and beside the tools.
        ready: it can be called now.
        missing: what is not here, a phrase each.
        commands: what brings it, in order.
        download_bytes: what the commands download, as far as it is known.
        optional: what is missing is large, and the profile does without it or does not ask for it.
        others: the backends that could serve it instead, which the profile does not name.
    """

    tool: str
    backend: str
    ready: bool
    missing: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    download_bytes: int = 0
    optional: bool = False
    others: tuple[Readiness, ...] = ()


def readiness(registry: Registry, profile: Profile) -> Iterator[Readiness]:
    """Look at every declared tool; imports nothing heavy and loads nothing."""
    chosen: dict[str, Backend] = {}
    rows: dict[str, Readiness] = {}
    for tool in registry:
        try:
            chosen[tool.name] = profile.choose(registry, tool.name)
        except HoplineError:
            missing = ("no backend in this profile",)
            rows[tool.name] = Readiness(
                tool=tool.name, backend="", ready=False, missing=missing, optional=not tool.planned
            )
        else:
            rows[tool.name] = readiness_of(chosen[tool.name], profile)
    for tool in registry:
        row, name = rows[tool.name], ""
        if backend := chosen.get(tool.name):
            row, name = _with_needs(row, [rows[need] for need in backend.needs]), backend.name
        kinds = [kind for kind in registry.backends(tool.name) if kind.name != name and not kind.asks_first]
        others = [_with_needs(readiness_of(kind(), profile), [rows[n] for n in kind.needs]) for kind in kinds]
        yield replace(row, others=tuple(others))
    for name, error in registry.absent.items():
        yield Readiness(tool=f"{name}_…", backend="", ready=False, missing=(str(error),))


def _with_needs(row: Readiness, needed: Sequence[Readiness]) -> Readiness:
    """A backend that calls other tools is as ready as they are."""
    absent = [need for need in needed if not need.ready]
    return replace(
        row,
        ready=row.ready and not absent,
        missing=(*row.missing, *(f"{need.tool}, which it asks" for need in absent)),
        commands=tuple(dict.fromkeys([*row.commands, *(command for need in absent for command in need.commands)])),
        optional=row.optional or (row.ready and any(need.optional for need in absent)),
    )


def readiness_of(backend: Backend, profile: Profile) -> Readiness:
    """Whether a backend can be called with a profile, and what it lacks; imports nothing heavy and loads nothing."""
    large = any(name in profile.large_models for name in backend.models)
    return _readiness(
        Readiness(
            tool=backend.tool,
            backend=backend.id,
            ready=True,
            optional=large or (backend.large and backend.tool not in profile.backends),
        ),
        (backend.extra, backend.packages),
        [manifest()[name] for name in backend.models],
        backend.missing(),
        profile if not large and {backend.id, backend.id.partition(":")[2]} & profile.written else None,
    )


def beside_the_tools(profile: Profile) -> list[Readiness]:
    """What planning, measuring and the other commands lack; imports nothing heavy and loads nothing."""
    rows = []
    for name, (extra, packages, models) in PARTS.items():
        row = Readiness(tool=name, backend="", ready=True, optional=name != "planning")
        rows.append(_readiness(row, (extra, packages), [manifest()[model] for model in models], (), profile))
    return rows


def _readiness(
    row: Readiness,
    needs: tuple[str, Sequence[str]],
    models: Sequence[Model],
    others: Sequence[Missing],
    pulled_with: Profile | None,
) -> Readiness:
    """A row with what is not here of an extra and its packages, of models and of other things.

    Where the models come with a profile, its name is what is pulled.
    """
    extra, wanted = needs
    packages = [package for package in wanted if importlib.util.find_spec(package) is None]
    absent = [model for model in models if not model.present]
    commands = [f"pip install 'hopline[{extra}]'" if extra else "pip install hopline"] if packages else []
    commands += [other.command for other in others if other.command]
    pulls = [f"hopline models pull {model.name}" for model in absent]
    pulls += [command for command in commands if command.startswith(_PULLS)]
    if pulls and pulled_with is not None and _can_be_pulled(pulled_with):
        pulls = [f"hopline models pull {pulled_with.name}"]
    missing = (*(f"package {p}" for p in packages), *(f"model {m.name}" for m in absent), *(o.what for o in others))
    return replace(
        row,
        ready=not missing,
        missing=missing,
        commands=tuple(dict.fromkeys([*(one for one in commands if not one.startswith(_PULLS)), *pulls])),
        download_bytes=sum(m.download_size for m in absent)
        + sum(o.download_bytes for o in others)
        + (EXTRA_BYTES.get(extra, 0) if packages else 0),
    )


def _can_be_pulled(profile: Profile) -> bool:
    """Its name leads to it: a profile of a file elsewhere, or made in Python, has only its models' names."""
    try:
        return load_profile(profile.name) == profile
    except HoplineError:
        return False


def for_planning(registry: Registry, profile: Profile) -> Registry:
    """The tools as planners see them: one that they leave alone else is theirs where the profile's backend is ready."""

    def served(tool: Tool) -> bool:
        try:
            return tool.name in profile.backends and is_ready(profile.choose(registry, tool.name))
        except HoplineError:
            return False

    return Registry(tools=[replace(tool, planned=tool.planned or served(tool)) for tool in registry])


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


GPU_MIB, LOCAL_MIB, SMALL_MIB = 7_500, 15_000, 7_500
"""Memory from which on the profiles `gpu` (of the card), `local` and `cpu-small` (of the machine) are comfortable."""


def recommended(machine: Machine, ollama: bool) -> tuple[str, str]:
    """The profile for a machine, and why.

    Args:
        machine: what it has.
        ollama: an Ollama answers on it.
    """
    gib = f"{machine.memory_mib / 1024:.0f} GiB of memory"
    if machine.gpu and machine.gpu_memory_mib >= GPU_MIB:
        return "gpu", f"{machine.gpu} has {machine.gpu_memory_mib / 1024:.0f} GiB: diffusion takes seconds there"
    if ollama and machine.memory_mib >= LOCAL_MIB:
        return "local", f"an Ollama answers here, and its vision model fits {gib}"
    if machine.memory_mib >= SMALL_MIB:
        return "cpu-small", f"{gib} and no graphics card: small models of the hub fit, and take their time"
    return "offline", f"{gib}: the models of the hub would not fit beside each other"


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
    of_hub: dict[str, str] = {}
    for backend in backends_of(registry, profile):
        of_hub |= {one.repository: one.digest[:12] for one in backend.hub}
        if isinstance(backend, Pretrained) and is_hub_id(backend.model_name):
            model, revision = revision_of(backend.model_name)
            of_hub[model] = revision[:12]
    for name, version in of_hub.items():
        licence = known()[name].licence if name in known() else f"see https://huggingface.co/{name}"
        rows.append(Licence(kind="model", name=name, version=version, licence=licence))
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
