"""STDNet: video salient object detection with spatiotemporal difference convolutions (Su et al., TPAMI 2025)."""
