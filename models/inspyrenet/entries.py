"""Registry entries of this family; see `limelight.models.registry`."""

from limelight.models.entry import Entry

ENTRIES = {
    "inspyrenet": Entry(
        "inspyrenet.network:InSPyReNet",
        "InSPyReNet on any timm backbone with features at 1/2 to 1/32",
        {"backbone": "efficientnet-lite0", "channels": 32, "base_size": 256},
        256,
    ),
    **{
        f"inspyrenet-{short}": Entry(
            "inspyrenet.network:InSPyReNet", f"InSPyReNet, {size}", {"backbone": backbone}, 384
        )
        for short, backbone, size in (
            ("swint", "swin-t", "31.20 M parameters"),
            ("swins", "swin-s", "52.52 M parameters"),
            ("swinb", "swin-b", "90.72 M parameters"),
            ("swinl", "swin-l", "199.37 M parameters"),
            ("res2net50", "res2net50", "28.10 M parameters"),
            ("res2net101", "res2net101", "47.61 M parameters"),
        )
    },
}
