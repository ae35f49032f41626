"""Importing pulls in nothing heavy, and nobody's `tools` or `agent` folder shadows ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "av",
    "ctranslate2",
    "cv2",
    "faster_whisper",
    "gradio",
    "huggingface_hub",
    "langchain",
    "langchain_core",
    "langgraph",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "piper",
    "rapidocr",
    "resvg_py",
    "sacrebleu",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
}


def python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import hopline.tools",
        "import hopline.agent",
        "from hopline.tools.registry import installed; installed()",
        "import hopline.agent.loss",
        "import sys; sys.argv = ['hopline', '--help']\nfrom hopline.agent.faces.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass",
        "import sys; sys.argv = ['hopline', 'tools']\nfrom hopline.agent.faces.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass",
    ],
    ids=["tools", "agent", "installed", "loss", "--help", "tools command"],
)
def test_nothing_heavy_is_imported(code: str, tmp_path: Path) -> None:
    loaded = python(f"{code}\nimport sys; print('loaded:', *sys.modules)", tmp_path).rpartition("loaded:")[2].split()
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_a_folder_called_tools_or_agent_shadows_nothing(tmp_path: Path) -> None:
    for name in ("tools", "agent"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('shadowed')\n")
    script = tmp_path / "mine.py"
    script.write_text(
        "from hopline.agent import Agent\n"
        "from hopline.agent.running.profile import Profile\n"
        "from hopline.agent.hops.journal import Journal\n"
        "from hopline.tools.fakes import fake_registry\n"
        "import hopline.agent, hopline.tools\n"
        "with Agent(registry=fake_registry(), profile=Profile(name='fakes'), journal=Journal()) as agent:\n"
        "    chain = 'text_to_speech | speech_to_text | text_to_image | image_captioning'\n"
        "    run = agent.run('two red cars', chain=chain)\n"
        "    print(run.status, run.outputs[-1].text)\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok two red cars", done.stderr


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[1]
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(root)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import hopline.agent, hopline.tools\n"
        "from importlib import resources\n"
        "assert resources.files('hopline.agent.hops').joinpath('schema.sql').is_file()\n"
        "assert resources.files('hopline.tools').joinpath('models.toml').is_file()\n"
        "assert resources.files('hopline.agent.running').joinpath('profiles/offline.toml').is_file()\n"
        "print(hopline.agent.__file__); print(hopline.tools.__file__)"
    )
    assert all(str(target) in line for line in python(code, tmp_path).splitlines())
