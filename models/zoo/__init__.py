"""Published weights by name: one table of pins, and the way from a name to a weights folder.

Nothing here imports PyTorch before weights are imported.
"""
