"""The files that the page loads, by their path: styles, scripts and example pictures."""

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".md": "text/markdown",
}
"""Suffix -> content type; the tables of a machine may have another, with which browsers run no script."""
ASSETS: Mapping[str, Path] = {
    f"/static/{path.relative_to(FOLDER).as_posix()}": path for path in sorted(FOLDER.rglob("*")) if path.suffix in TYPES
}
"""Path of a request -> file. What is not listed here is not served, whatever a path may say."""
