"""Frozen vision and text encoders, each a directory that runs with onnxruntime and tokenizers alone."""
