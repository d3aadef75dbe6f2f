"""Difference convolutions: layers that weigh differences of pixels, for any network (Su et al., arXiv 2507.01182)."""
