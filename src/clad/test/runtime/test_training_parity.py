"""The planner at run time sees what training windows hold: same features, past, actions and order, at every step."""

import numpy as np
import pytest
from tiny_bundle import CAMERAS, FEATURES, HORIZON, VARIANT

from clad.runtime.bundle import load_bundle, load_encoder
from clad.runtime.planner import Planner
from clad.runtime.session import open_session

pytest.importorskip("safetensors", reason="the feature cache needs safetensors")
from clad.data.episode import Episode  # noqa: E402
from clad.data.features import EncodedEpisode, encode_episode  # noqa: E402
from clad.data.windows import build_windows  # noqa: E402

STEPS, TASK = 15, "pick up the book"
STATE = ("joint_position", "joint_velocity", "gripper_position", "ee_position", "ee_quaternion")


def test_windows_and_planner_agree_on_every_step(tiny_models, contract, make_observation):
    bundle = load_bundle(tiny_models / "tiny")
    seen = [make_observation(step) for step in range(STEPS)]
    executed = np.random.default_rng(0).uniform(-1, 1, (STEPS, 7))
    states = {name: np.stack([getattr(o, name) for o in seen]) for name in STATE}

    images = {camera: np.stack([o.images[camera] for o in seen]) for camera in CAMERAS}
    episode = Episode(name="demo_0", instruction=TASK, images=images, executed=executed, expert=executed, **states)
    arrays = encode_episode(episode, load_encoder(bundle))
    encoded = EncodedEpisode(
        key="demo_0",
        instruction=TASK,
        meta={},
        features={(c, f): arrays[f"images.{c}.{f}"] for c in CAMERAS for f in FEATURES},
        text=arrays["text"],
        executed=executed,
        expert=executed,
        label_valid=episode.label_valid,
        image_valid=episode.image_valid,
        **states,
    )
    w = build_windows(
        [encoded], horizon=HORIZON, proprio=VARIANT, cameras=CAMERAS, features=FEATURES, action=contract.action
    )
    proprio, visual = bundle.proprio(w.proprio), bundle.visual(w.visual)
    z_proprio, z_semantic = open_session(bundle.path / "planner.onnx").run(
        ["proprio_foresight", "semantic_foresight"],
        {
            "proprio_past": proprio[w.past],
            "visual_past": visual[w.past],
            "proprio": proprio[w.now],
            "visual": visual[w.now],
            "text": w.text[w.episode],
            "actions": bundle.action(w.actions),
        },
    )

    planner = Planner(bundle, contract)
    planner.reset(TASK, seed=0)
    for step, observation in enumerate(seen):
        foresight = planner.plan(observation)
        planner.executed(step, executed[step])
        np.testing.assert_allclose(foresight.proprio_foresight, z_proprio[step], atol=1e-5)
        np.testing.assert_allclose(foresight.semantic_foresight, z_semantic[step], atol=1e-5)
