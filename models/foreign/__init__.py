"""Networks of other projects, as the ONNX files that they publish."""
