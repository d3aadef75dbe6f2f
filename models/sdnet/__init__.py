"""SDNet, and STDNet for video: salient objects by difference convolutions (Su et al., TPAMI 2025, arXiv 2507.01182)."""
