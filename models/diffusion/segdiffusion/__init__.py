"""Seg-diffusion: one mask per text prompt, drawn by a diffusion model. The published system averages its prompts and
draws one grey picture, from which no class can be read; see `SegDiffusion.legacy_grey`."""
