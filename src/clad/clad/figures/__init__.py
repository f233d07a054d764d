"""Foresight, seen: what a planner foretold, what came of it, how its latent space lies and which pixels it stands on."""
