"""SCFNet, the network of KD-SCFNet (Zhang et al., arXiv 2208.02178)."""
