"""LIBERO: environment, protocols, scene hash, fast visuals, scripted experts, demonstrations, direct rollout."""
