"""An exported bundle, run by clad.runtime, computes what the trained torch model computes."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from tiny_demos import INSTRUCTION, STEP, reach_episode, write_reach_demos

from clad.cli.main import main
from clad.contract import Observation, load_contract, wire_to_native
from clad.data.features import load_cache
from clad.data.windows import build_windows
from clad.errors import CladError
from clad.export.bundle import export_bundle
from clad.export.variants import check_bundle
from clad.model.config import load_config
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.train.batches import WindowTensors
from clad.train.planner import train_planner
from clad.train.policy import load_planner, train_policy

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

CONTRACT = load_contract("libero")
CONFIG = load_config(
    "small",
    [
        "planner.width=16",
        "planner.hidden=32",
        "planner.heads=2",
        "policy.width=48",
        "policy.observation=24",
        "policy.blocks=2",
        "train_planner.batch=64",
        "train_policy.batch=128",
        "train_policy.steps=400",
        "train_policy.warmup=20",
        "train_policy.evaluate_every=400",
        "train_planner.steps=60",
        "train_planner.evaluate_every=60",
        "data.features=[keypoints,pooled]",
        "train_policy.weights_ema=0.99",
        "policy.dropout=0",
        "train_policy.input_noise=0.02",
        "train_planner.input_noise=0.02",
    ],
)


@pytest.fixture(scope="module")
def work(tmp_path_factory, tiny_models):
    """Demonstrations, features, both runs and the exported bundle `models/reach` beside its encoder."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("export")
    shutil.copytree(tiny_models / "encoder-tiny", root / "models" / "encoder-tiny")
    write_reach_demos(root / "demos" / "reach_demo.hdf5", 30, length=20)
    assert (
        main(
            [
                "encode",
                "--demos",
                str(root / "demos"),
                "--encoder",
                str(root / "models/encoder-tiny"),
                "--out",
                str(root / "features"),
            ]
        )
        == 0
    )
    train_planner(root / "features", root / "planner", CONFIG)
    train_policy(None, root / "planner", root / "policy", CONFIG)
    export_bundle(root / "planner", root / "policy", root / "models/encoder-tiny", "reach", root / "models")
    return root


def observation(episode, t: int) -> Observation:
    state = {
        n: getattr(episode, n)[t]
        for n in ("joint_position", "joint_velocity", "gripper_position", "ee_position", "ee_quaternion")
    }
    return Observation(step=t, images={c: i[t] for c, i in episode.images.items()}, **state)


def test_bundle_is_complete(work):
    bundle = load_bundle(work / "models" / "reach")
    assert set(bundle.files) == {"planner.onnx", "condition.onnx", "denoiser.onnx"}
    assert max(bundle.parity.values()) <= 1e-5 and bundle.opset == 20 and bundle.horizon == 6
    assert bundle.contract_hash == CONTRACT.hash and bundle.tasks[0].instruction == INSTRUCTION
    assert INSTRUCTION in (bundle.path / "README.md").read_text()
    for name in bundle.files:
        graph = onnx.load(bundle.path / name)
        onnx.checker.check_model(graph, full_check=True)
        assert next(o.version for o in graph.opset_import if o.domain == "") == 20
        assert all(i.type.tensor_type.shape.dim[0].dim_param for i in graph.graph.input), "the batch is dynamic"
        assert b"site-packages" not in (bundle.path / name).read_bytes(), "no path of this machine in the file"


def test_live_foresight_equals_training_time_foresight(work):
    """One episode observed live, step by step, against its training windows through torch: same numbers."""
    episode = reach_episode(2, length=20)
    planner = Planner(load_bundle(work / "models" / "reach"), CONTRACT)
    planner.reset(INSTRUCTION, seed=0)
    model, info = load_planner(work / "planner")
    encoded = load_cache(work / "features", info.config.data.cameras, info.config.data.features)[2]
    windows = build_windows(
        [encoded],
        horizon=6,
        proprio=info.config.data.proprio,
        cameras=info.config.data.cameras,
        features=info.config.data.features,
        action=CONTRACT.action,
    )
    tensors = WindowTensors(windows, info.normalisers, blind=False, device=torch.device("cpu"))
    batch = tensors.take(tensors.all)
    with torch.no_grad():
        foreseen = model(batch.past, batch.now, batch.text, batch.actions)
        predicted = info.normalisers.proprio.inverse(model.decode_proprio(foreseen.proprio).numpy())
    for t in range(20):
        live = planner.plan(observation(episode, t))
        assert live.fallback == ""
        np.testing.assert_allclose(live.semantic_embedding, batch.now.visual[t].numpy(), atol=1e-4)
        np.testing.assert_allclose(live.proprio, batch.now.proprio[t].numpy(), atol=1e-5)
        np.testing.assert_allclose(live.proprio_foresight, foreseen.proprio[t].numpy(), atol=1e-4)
        np.testing.assert_allclose(live.semantic_foresight, foreseen.semantic[t].numpy(), atol=1e-4)
        np.testing.assert_allclose(live.proprio_predicted, predicted[t], atol=1e-4)
        planner.executed(t, episode.executed[t])


def test_the_bundle_solves_what_it_was_trained_on(work):
    """Closed loop on new targets through the runtime alone: the hand ends where the picture says."""
    bundle = load_bundle(work / "models" / "reach")
    planner, policy, errors = Planner(bundle, CONTRACT), Policy(bundle, CONTRACT), []
    for seed in range(100, 106):
        start = reach_episode(seed, length=1)
        target = start.images["agentview"][0, 0, [0, -1], 0] / 255 - 0.5
        position = np.zeros(2)
        planner.reset(INSTRUCTION, seed)
        for t in range(0, 18, bundle.execute_steps):
            seen = observation(start, 0)
            xyz = np.array([*position, 0.0])
            seen = Observation(
                step=t,
                images=seen.images,
                joint_position=np.array([*position, 0, 0, 0, 0, 0]),
                joint_velocity=np.zeros(7),
                gripper_position=np.zeros(2),
                ee_position=xyz,
                ee_quaternion=seen.ee_quaternion,
            )
            chunk = policy.act(planner.plan(seen))
            for i, action in enumerate(wire_to_native(chunk.values[: bundle.execute_steps], CONTRACT.action)):
                planner.executed(t + i, action)
                position = position + action[:2] * STEP
        errors.append(np.abs(position - target).mean())
    assert np.mean(errors) < 0.1, "targets are 0.25 away on average"


@pytest.mark.parametrize("foresight", ["none", "proprio", "semantic"])
def test_variants_export_and_act(work, tmp_path, foresight, make_observation):
    settings = load_config(
        "small",
        [
            "planner.width=16",
            "planner.hidden=32",
            "planner.heads=2",
            "policy.width=48",
            "policy.observation=24",
            "policy.blocks=1",
            f"policy.foresight={foresight}",
            "train_policy.steps=2",
            "data.features=[keypoints,pooled]",
        ],
    )
    run = None if foresight == "none" else work / "planner"
    train_policy(work / "features", run, tmp_path / "policy", settings)
    shutil.copytree(work / "models" / "encoder-tiny", tmp_path / "encoder-tiny")
    bundle = export_bundle(run, tmp_path / "policy", tmp_path / "encoder-tiny", foresight, tmp_path)
    assert bundle.has_planner == (foresight != "none")
    inputs = check_bundle(bundle.path)["condition.onnx"]["inputs"]
    assert [n for n in inputs if "foresight" in n] == ([] if foresight == "none" else [f"{foresight}_foresight"])
    planner, policy = Planner(bundle, CONTRACT), Policy(bundle, CONTRACT)
    planner.warm_up(), policy.warm_up()
    planner.reset(INSTRUCTION, 0)
    chunk = policy.act(planner.plan(make_observation(0)))
    assert chunk.values.shape == (6, 7) and np.isfinite(chunk.values).all()


def test_what_does_not_belong_together_is_refused(work, tmp_path):
    from tiny_bundle import write_tiny_encoder

    write_tiny_encoder(tmp_path / "encoder-other", seed=9)
    with pytest.raises(CladError, match="was trained on encoder"):
        export_bundle(work / "planner", work / "policy", tmp_path / "encoder-other", "x", tmp_path)
    train_planner(
        work / "features",
        tmp_path / "planner",
        load_config(
            "small",
            [
                "planner.width=16",
                "planner.hidden=32",
                "planner.heads=2",
                "train_planner.steps=1",
                "data.features=[keypoints,pooled]",
            ],
        ),
    )
    with pytest.raises(CladError, match="another planner"):
        export_bundle(tmp_path / "planner", work / "policy", work / "models/encoder-tiny", "x", tmp_path)
    assert not list(tmp_path.glob(".x*")) and not (tmp_path / "x").exists(), "nothing half-made is left behind"


def test_command(work, tmp_path, capsys):
    common = [
        "--planner",
        str(work / "planner"),
        "--policy",
        str(work / "policy"),
        "--encoder",
        str(work / "models/encoder-tiny"),
    ]
    assert main(["export", *common, "--name", "again", "--out", str(tmp_path)]) == 0
    assert main(["export", *common, "--name", "again", "--out", str(tmp_path)]) == 0, "a bundle can be replaced"
    first, second = (
        json.loads((p / "model.json").read_text())["files"] for p in (work / "models/reach", tmp_path / "again")
    )
    assert first == second, "equal weights give equal files"
    assert main(["export", *common, "--out", str(tmp_path)]) == 2 and main(["export", "--name", "a/b"]) == 2
    capsys.readouterr()
    assert main(["export", "--check", str(tmp_path / "again")]) == 0
    assert "planner.onnx: intact" in capsys.readouterr().out
    assert main(["export", "--check", str(work / "models/encoder-tiny")]) == 0
    (tmp_path / "again" / "denoiser.onnx").write_bytes(b"short")
    assert main(["export", "--check", str(tmp_path / "again")]) == 1
    assert "denoiser.onnx is truncated" in capsys.readouterr().err
