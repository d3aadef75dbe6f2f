"""Registry entries of this family; see `limelight.models.registry`."""

from limelight.models.entry import Entry

ENTRIES = {
    "scfnet": Entry(
        "scfnet.network:SCFNet",
        "SCFNet on any timm backbone with features at 1/4 to 1/32",
        {"backbone": "resnet18"},
        352,
    ),
    "scfnet-mobilenetv3": Entry(
        "scfnet.network:SCFNet",
        "KD-SCFNet student, 0.80 M parameters",
        {"backbone": "mobilenetv3-large-x0.5"},
        352,
    ),
    "scfnet-resnet50": Entry(
        "scfnet.network:SCFNet", "KD-SCFNet teacher, 26.15 M parameters", {"backbone": "resnet50"}, 352
    ),
    "scfnet-swinb": Entry(
        "scfnet.network:SCFNet", "KD-SCFNet teacher, 88.36 M parameters", {"backbone": "swin-b"}, 384
    ),
}
