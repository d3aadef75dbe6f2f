"""The families of networks: one folder each, with its names in `entries.py` and, if it has any, its recipes in
`presets.py` and the import of published files in `checkpoint.py`."""

FAMILIES = ("scfnet", "sdnet", "diffusion")
"""In the order of lists. No stage waits for this file: a family more changes nothing about the others."""
