"""In the profile `offline` nothing leaves this machine, in the coordinator or in a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEMO = Path(__file__).resolve().parents[1] / "examples" / "memo.m4a"

# Python imports `sitecustomize` at the start of every process, the workers included.
GUARD = """
import os, socket

_connect, _resolve = socket.socket.connect, socket.getaddrinfo

def refuse(what):
    with open(os.environ["GUARD_LOG"], "a") as log:
        log.write(f"{os.getpid()} {what}\\n")
    raise OSError(f"the socket guard refused {what}")

def connect(self, address):
    if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1")):
        refuse(address)
    return _connect(self, address)

def getaddrinfo(host, *arguments, **options):
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        refuse(host)
    return _resolve(host, *arguments, **options)

socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
with open(os.environ["GUARD_LOG"], "a") as log:
    log.write(f"{os.getpid()} guarded\\n")
"""


@pytest.mark.models
def test_a_run_opens_no_connection(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    log = tmp_path / "guard.log"
    code = "from hopline.agent.faces.cli import main; main()"
    request = "Listen to the memo, draw what it describes, then describe the drawing aloud."
    own = tmp_path / "own"
    own.mkdir()
    folders = {"HOME": str(own), "XDG_CACHE_HOME": str(own), "TMPDIR": str(own)}
    # As on a person's machine: onnxruntime reports nothing where it takes itself to be tested.
    unset = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code, "run", request, "-a", str(MEMO), "--loss"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, **folders, "PYTHONPATH": str(tmp_path), "GUARD_LOG": str(log)},
    )
    assert done.returncode == 0, done.stderr
    left = [path.name for path in own.rglob("*") if path.is_file()]
    assert left == [], "a library's analytics keep a session or device id"
    lines = log.read_text().splitlines()
    assert [line for line in lines if not line.endswith("guarded")] == []
    assert len({line.split()[0] for line in lines}) == 5, "the coordinator and four workers were guarded"


def test_the_guard_would_notice(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    code = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GUARD_LOG": str(tmp_path / "log")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "the socket guard refused" in done.stderr
