"""Training: one readable loop a stage, safetensors checkpoints, exact resume."""
