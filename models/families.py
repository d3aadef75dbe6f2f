"""The families of networks: one folder each, with its names in `entries.py` and, if it has any, its recipes in
`presets.py` and the import of published files in `checkpoint.py`."""

FAMILIES = ("scfnet", "sdnet", "inspyrenet", "diffusion", "foreign")
"""In listing order. No stage depends on this file: a new family changes nothing about the others."""
