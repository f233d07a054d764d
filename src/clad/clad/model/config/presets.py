"""Complete configurations by name."""

from __future__ import annotations

from clad.model.config.sections import Config, DataConfig, OptimConfig, PlannerConfig, PolicyConfig

PRESETS: dict[str, Config] = {
    # trains in minutes on two CPU cores and plans at 25 Hz on one
    "small": Config(),
    # d, N_p, N_s, proprio, steps and batch of the paper; layer counts and hidden widths are not published, these come to
    # its 0.33 B and 0.23 B parameters
    "paper": Config(
        data=DataConfig(proprio="joint16"),
        planner=PlannerConfig(width=1024, hidden=9216, heads=8),
        policy=PolicyConfig(observation=1024, width=2048, blocks=11, heads=16, prediction="epsilon"),
        train_planner=OptimConfig(steps=25_000, batch=128, rate=1e-4, input_noise=0.0),
        train_policy=OptimConfig(
            steps=200_000, batch=128, rate=1e-4, input_noise=0.0, weights_ema=0.999, evaluate_every=2000
        ),
    ),
}
