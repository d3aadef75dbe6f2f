"""Registry entries of this family; see `limelight.models.registry`."""

from limelight.models.entry import Entry

ENTRIES = {
    "onnx": Entry(
        "foreign.network:OnnxNetwork",
        "an ONNX file of another project; made by limelight import file.onnx",
        licence="not stated",
        packages=("onnxruntime",),
        engine="onnx",
    ),
}
