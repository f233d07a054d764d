"""int8, fp16 and the fused sampler, made from an exported bundle; and torch's session beside ONNX Runtime's."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from clad.cli.main import main
from clad.contract import load_contract
from clad.errors import CladError, UsageError
from clad.export import graph as graphs
from clad.export.sizes import random_bundle
from clad.export.variants import check_bundle, derive_bundle, fuse_sampler
from clad.model.config import Dims, load_config
from clad.runtime.bundle import load_bundle, sha256_file
from clad.runtime.ddim import Ddim
from clad.runtime.policy import Policy
from clad.runtime.probe import sample, seeded_feed
from clad.runtime.session import open_graph, open_session
from clad.runtime.types import Foresight

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

CONTRACT = load_contract("libero")
DIMS = Dims(proprio=23, visual=12, text=5, action=7, horizon=6)
CONFIG = load_config(
    "small",
    [
        "planner.width=16",
        "planner.hidden=32",
        "planner.heads=2",
        "policy.width=32",
        "policy.observation=16",
        "policy.blocks=2",
    ],
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """An fp32 bundle with torch weights."""
    torch.set_num_threads(1)
    return random_bundle(CONFIG, DIMS, "plain", tmp_path_factory.mktemp("variants"), torch_weights=True)


@pytest.fixture(scope="module")
def derived(bundle):
    return derive_bundle(bundle, "derived", bundle.path.parent, precisions=("int8", "fp16"), fused=True)


@pytest.fixture
def foresight():
    rng = np.random.default_rng(3)

    def array(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return Foresight(
        step=6, seed=4, instruction="go", proprio_foresight=array(4, 16), semantic_foresight=array(4, 16),
        semantic_embedding=array(12), instruction_embedding=array(5), proprio=array(23), proprio_predicted=array(23),
        proprio_measured=array(23), semantic_predicted=array(12),
        encode_latency=0.0, plan_latency=0.0,
    )  # fmt: skip


def test_every_file_is_listed_with_its_own_parity(bundle, derived):
    names = {f"{g}{p}" for g in ("planner", "condition", "denoiser") for p in ("", ".int8", ".fp16")}
    names |= {"sampler", "sampler.int8", "sampler.fp16"}
    assert set(derived.parity) == names
    assert set(derived.files) == {f"{n}.onnx" for n in names} | {"planner.safetensors", "policy.safetensors"}
    assert derived.precisions == ("fp32", "int8", "fp16") and bundle.precisions == ("fp32",)
    assert derived.parity["sampler"] <= 1e-6
    # a phase rounded to float16 would show in the denoiser: its time steps come out 100 times worse
    assert 0 < derived.parity["planner.fp16"] < 3e-3 and 0 < derived.parity["denoiser.fp16"] < 3e-3
    assert 1e-4 < derived.parity["planner.int8"] < 1e-1
    assert derived.id != bundle.id and derived.name == "derived", "another set of files is another model"
    assert {f: derived.files[f] for f in bundle.files} == dict(bundle.files), "fp32 is copied as it is"
    card = (derived.path / "README.md").read_text()
    assert card.startswith("# derived\n") and "| sampler.int8.onnx |" in card and card.count("| planner.onnx |") == 1


def test_int8_is_in_the_products_and_fp16_keeps_the_phase_exact(derived):
    int8 = onnx.load(derived.path / "denoiser.int8.onnx").graph
    assert any(n.op_type == "MatMulInteger" for n in int8.node)
    assert not any(n.op_type in ("Gemm", "MatMul") for n in int8.node), "no product with weights is left in fp32"
    half = onnx.load(derived.path / "denoiser.fp16.onnx").graph
    kinds = {i.name: i.data_type for i in half.initializer}
    assert TensorProto.FLOAT16 in kinds.values()
    frequencies = [i for i in half.initializer if numpy_helper.to_array(i).size == 32]
    assert [i.data_type for i in frequencies if numpy_helper.to_array(i).max() > 900] == [TensorProto.FLOAT]
    assert {i.type.tensor_type.elem_type for i in half.input} == {TensorProto.FLOAT, TensorProto.INT64}


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("steps", [1, 10])
def test_fused_sampler_computes_what_the_stepwise_one_does(bundle, tmp_path, prediction, steps):
    ddim = Ddim(train_steps=100, sample_steps=steps, prediction=prediction)
    file = tmp_path / "sampler.onnx"
    graphs.save_graph(fuse_sampler(onnx.load(bundle.path / "denoiser.onnx"), ddim), file)
    assert file.stat().st_size < 1.5 * (bundle.path / "denoiser.onnx").stat().st_size, "weights are stored once"
    sampler, denoiser = open_session(file), open_session(bundle.path / "denoiser.onnx")
    for batch in (1, 3):
        feed = seeded_feed(sampler, batch=batch, seed=batch, train_steps=100)
        expected = sample(denoiser, ddim, condition=feed["condition"], noise=feed["noise"][None])
        assert expected.std() > 1e-3
        np.testing.assert_allclose(sampler.run(["chunk"], feed)[0], expected, atol=1e-6)


def test_policy_runs_in_every_precision_and_fused(derived, foresight):
    plain = Policy(derived, CONTRACT).act(foresight).values
    np.testing.assert_allclose(Policy(derived, CONTRACT, fused=True).act(foresight).values, plain, atol=1e-6)
    for precision in ("int8", "fp16"):
        for fused in (False, True):
            values = Policy(derived, CONTRACT, precision=precision, fused=fused).act(foresight).values
            assert 0 < np.abs(values - plain).max() < 0.1


def test_check_measures_parity_again(derived, tmp_path, capsys):
    found = check_bundle(derived.path)
    assert set(found) == {f for f in derived.files if f.endswith(".onnx")}
    assert found["planner.onnx"]["parity"] <= 1e-5, "against onnx's own evaluator"
    assert found["planner.int8.onnx"]["parity"] == pytest.approx(derived.parity["planner.int8"], rel=0.2)
    # intact by its checksum, but not the same network
    path = shutil.copytree(derived.path, tmp_path / "changed")
    model = onnx.load(path / "planner.int8.onnx")
    for tensor in (t for t in model.graph.initializer if t.name.endswith("_scale")):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 3, tensor.name))
    onnx.save(model, path / "planner.int8.onnx")
    body = json.loads((path / "model.json").read_text())
    body["files"]["planner.int8.onnx"] = sha256_file(path / "planner.int8.onnx")
    (path / "model.json").write_text(json.dumps(body))
    assert main(["export", "--check", str(path)]) == 1
    assert "planner.int8.onnx differs from" in capsys.readouterr().err


def test_large_weights_lie_beside_the_graph_and_are_verified(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "MAX_INLINE_BYTES", 1000)
    large = derive_bundle(bundle, "large", tmp_path, precisions=("fp16",), fused=True)
    assert {"planner.fp16.onnx.data", "sampler.onnx.data"} <= set(large.files)
    assert large.parity["sampler"] <= 1e-6
    data = large.path / "sampler.onnx.data"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(CladError, match="sampler.onnx.data is truncated"):
        load_bundle(large.path)


def test_command(bundle, tmp_path, capsys):
    source = ["export", "--from", str(bundle.path), "--name", "more", "--out", str(tmp_path)]
    assert main([*source, "--precision", "int8"]) == 0
    again = ["export", "--from", str(tmp_path / "more"), "--name", "more", "--out", str(tmp_path), "--fused"]
    assert main(again) == 0, "a bundle can be added to in place"
    assert {"planner.int8.onnx", "sampler.onnx", "sampler.int8.onnx"} <= set(load_bundle(tmp_path / "more").files)
    assert [p.name for p in tmp_path.iterdir()] == ["more"], "nothing half-made is left behind"
    assert main(["export", "--check", str(tmp_path / "more")]) == 0
    assert "sampler.int8.onnx: intact, takes condition, noise; parity" in capsys.readouterr().out
    assert main(source) == 2 and main([*source, "--fused", "--torch-weights"]) == 2


def test_what_a_bundle_lacks_is_said_with_the_remedy(bundle):
    with pytest.raises(CladError, match="no condition.int8.onnx.*--precision int8"):
        Policy(bundle, CONTRACT, precision="int8")
    with pytest.raises(CladError, match="no sampler.onnx.*--fused"):
        Policy(bundle, CONTRACT, fused=True)
    with pytest.raises(UsageError, match="Valid: fp16, fp32, int8"):
        Policy(bundle, CONTRACT, precision="int4")
    with pytest.raises(UsageError, match="Valid: cpu, cuda, tensorrt, torch"):
        Policy(bundle, CONTRACT, provider="gpu")


@pytest.mark.parametrize("graph", ["planner", "condition", "denoiser", "sampler"])
def test_torch_computes_what_onnx_runtime_does(derived, graph):
    ours, theirs = open_graph(derived, graph, provider="torch"), open_graph(derived, graph)
    assert {i.name: tuple(i.shape[1:]) for i in ours.get_inputs()} == {
        i.name: tuple(i.shape[1:]) for i in theirs.get_inputs()
    }
    outputs = [o.name for o in theirs.get_outputs()]
    for batch in (1, 4):
        feed = seeded_feed(theirs, batch=batch, seed=batch, train_steps=100)
        for value, expected in zip(ours.run(outputs, feed), theirs.run(outputs, feed), strict=True):
            assert value.dtype == np.float32
            assert graphs.relative_error(value, expected) <= 1e-5


def test_torch_policy_and_its_refusals(bundle, foresight, tmp_path, derived):
    chunk = Policy(derived, CONTRACT).act(foresight).values
    for fused in (False, True):
        policy = Policy(derived, CONTRACT, provider="torch", fused=fused)
        policy.warm_up()
        np.testing.assert_allclose(policy.act(foresight).values, chunk, atol=1e-5)
    with pytest.raises(UsageError, match="fp32, not int8"):
        Policy(derived, CONTRACT, provider="torch", precision="int8")
    without = dataclasses.replace(bundle, files={f: s for f, s in bundle.files.items() if f.endswith(".onnx")})
    with pytest.raises(CladError, match="no torch weights.*--torch-weights"):
        Policy(without, CONTRACT, provider="torch")
    other = dataclasses.replace(bundle, config={**bundle.config, "policy": {**bundle.config["policy"], "width": 64}})
    with pytest.raises(CladError, match="policy.safetensors does not fit"):
        Policy(other, CONTRACT, provider="torch")
    if not torch.cuda.is_available():
        with pytest.raises(CladError, match="'torch-cuda' did not start"):
            Policy(bundle, CONTRACT, provider="torch-cuda")


def test_the_runtime_is_free_of_torch_until_it_is_asked_for():
    code = (
        "import sys, clad.runtime.planner, clad.runtime.policy, clad.bench.measures; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_paper_size_exports_and_runs(tmp_path, capsys):
    """0.33 B and 0.23 B parameters: weights in files of their own, one decision on the CPU."""
    assert main(["bench", "--config", "paper", "--n", "1", "--json", str(tmp_path / "bench.json")]) == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "bench.json").read_text())["measures"]}
    assert rows["plan"]["p50"] > 0 and rows["chunk"]["p50"] > rows["denoise step"]["p50"]
    assert "12 ms, RTX 4090" in capsys.readouterr().out


def act_differently(name: str, out, foresight, *settings: str):
    """A policy-only bundle of `settings` and its chunk."""
    config = load_config("small", ["policy.width=32", "policy.observation=16", "policy.blocks=1", *settings])
    bundle = random_bundle(config, DIMS, name, out, torch_weights=True)
    return bundle, Policy(bundle, CONTRACT).act(foresight).values


@pytest.mark.parametrize("kind", ["dit", "unet1d"])
def test_other_denoisers_fuse_and_run_in_torch(kind, foresight, tmp_path):
    settings = ("policy.foresight=none", "policy.prediction=epsilon", f"policy.denoiser={kind}")
    plain, chunk = act_differently(kind, tmp_path, foresight, *settings)
    assert max(plain.parity.values()) <= 1e-5 and np.ptp(chunk[:, 0]) > 1e-3
    fused = derive_bundle(plain, "fused", tmp_path, precisions=("int8", "fp16"), fused=True)
    assert fused.precisions == ("fp32", "int8", "fp16") and fused.parity["sampler"] <= 1e-5
    np.testing.assert_allclose(Policy(fused, CONTRACT, fused=True).act(foresight).values, chunk, atol=1e-5)
    for changed in ({"fused": True}, {"fused": False}):
        torch_chunk = Policy(fused, CONTRACT, provider="torch", **changed).act(foresight).values
        np.testing.assert_allclose(torch_chunk, chunk, atol=1e-5)


def test_ancestral_sampling_is_stored_repeats_and_is_not_fused(foresight, tmp_path):
    bundle, chunk = act_differently("ddpm", tmp_path, foresight, "policy.foresight=none", "policy.sampler=ddpm")
    assert bundle.diffusion.sampler == "ddpm" and load_bundle(bundle.path).diffusion.sampler == "ddpm"
    assert "10 DDPM steps" in (bundle.path / "README.md").read_text()
    again = Policy(bundle, CONTRACT)
    assert np.array_equal(chunk, again.act(foresight).values), "a chunk is a function of its foresight alone"
    assert np.array_equal(chunk, again.act(foresight).values), "whatever was sampled before"
    assert not np.array_equal(chunk, again.act(dataclasses.replace(foresight, seed=5)).values)
    ddim = dataclasses.replace(bundle, diffusion=dataclasses.replace(bundle.diffusion, sampler="ddim"))
    assert not np.array_equal(chunk, Policy(ddim, CONTRACT).act(foresight).values)
    with pytest.raises(CladError, match="a ddpm sampler cannot be fused"):
        derive_bundle(bundle, "fused", tmp_path, fused=True)
    assert not (tmp_path / "fused").exists() and not list(tmp_path.glob(".fused*"))
    with pytest.raises(CladError, match="a ddpm sampler cannot be fused"):
        Policy(bundle, CONTRACT, provider="torch", fused=True)
