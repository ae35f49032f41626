"""Installs the folders `agent/` and `tools/` as `hopline.agent` and `hopline.tools`."""

from setuptools import find_packages, setup

setup(
    package_dir={"hopline.agent": "agent", "hopline.tools": "tools"},
    packages=[
        f"hopline.{root}{'.' if sub else ''}{sub}" for root in ("agent", "tools") for sub in ["", *find_packages(root)]
    ],
)
