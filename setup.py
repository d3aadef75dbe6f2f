"""Where the packages lie; pyproject.toml says all else."""

from setuptools import find_packages, setup

SIBLING_FOLDERS = ("models", "services", "stages", "flows")
"""Folders beside limelight/ that are installed below it, so that no common name is taken in site-packages."""

setup(
    package_dir={"limelight": "limelight", **{f"limelight.{folder}": folder for folder in SIBLING_FOLDERS}},
    packages=[
        *find_packages(include=["limelight", "limelight.*"]),
        *(f"limelight.{name}" for folder in SIBLING_FOLDERS for name in find_packages(include=[folder, f"{folder}.*"])),
    ],
    package_data={
        "limelight.services": ["*.html", "static/*", "static/examples/*"],
        "limelight.models.shipped": ["*/*.json", "*/*.safetensors"],
    },
)
