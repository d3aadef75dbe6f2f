"""Registry entries of this family; see `limelight.models.registry`."""

from limelight.models.entry import Entry

ENTRIES = {
    "sdnet": Entry(
        "sdnet.network:SDNet", "SDNet, 745 197 parameters in training, 703 325 merged", {"batch_norm": False}
    ),
    "sdnet-bn": Entry(
        "sdnet.network:SDNet", "SDNet with batch norm, 765 717 in training, 705 725 merged", {"batch_norm": True}
    ),
    "sdnet-a": Entry(
        "sdnet.network:SDNet",
        "SDNet-A, with linear attention: 851 502 parameters in training, 818 531 merged",
        {"batch_norm": True, "mixers": True},
        384,
    ),
}
