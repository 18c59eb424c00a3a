"""ONNX files: read within limits, and converted to the native program."""
