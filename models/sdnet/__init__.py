"""SDNet: salient object detection with difference convolutions (Su et al., TPAMI 2025, arXiv 2507.01182)."""
