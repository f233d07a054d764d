"""Inference with numpy and ONNX Runtime alone: bundles, sessions, history, planner, policy, chunk sampling. No torch."""
