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
    "stdnet": Entry(
        "sdnet.video.network:STDNet", "STDNet for clips: 1 268 181 parameters in training, 874 157 merged", {}, 256
    ),
    "stdnet-a": Entry(
        "sdnet.video.network:STDNet",
        "STDNet-A for clips, with linear attention: 1 353 966 in training, 986 963 merged",
        {"mixers": True},
        256,
    ),
    "stdnet-causal": Entry(
        "sdnet.video.network:STDNet", "STDNet that looks at past frames alone, for streams", {"causal": True}, 256
    ),
}
