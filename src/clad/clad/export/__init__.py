"""From torch to ONNX: encoders and model bundles, each with a sidecar and measured parity."""
