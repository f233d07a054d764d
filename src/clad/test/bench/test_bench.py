"""`clad bench` and `clad info --config`: what is measured, against what, and how it is written down."""

import json
import time

import pytest
import torch

from clad.bench import measures, rows
from clad.cli.main import main
from clad.export.sizes import random_bundle
from clad.export.variants import derive_bundle
from clad.model.config import Dims, load_config

KEYS = {"name", "p50", "p99", "n", "unit", "floor", "ratio_to_floor", "baseline", "ratio_to_baseline"}


def test_rows_compare_calls_that_take_turns():
    order = []

    def call(name, seconds):
        def run():
            order.append(name)
            time.sleep(seconds)

        return run

    measure = rows.Measure(name="x", call=call("ours", 0.002), weights=10, reads=1000, baseline=call("theirs", 0.02))
    alone = rows.Measure(name="y", call=call("alone", 0.0), weights=10, reads=1000)
    first, second = rows.run([measure, alone], 5, lambda working_set: 1e6)
    assert order == ["ours", "theirs"] * 6 + ["alone"] * 6, "one warm-up of each, then in turns"
    assert first.floor == 1.0 and first.p50 >= 2 and first.ratio_to_floor == pytest.approx(first.p50)
    assert first.ratio_to_baseline == pytest.approx(first.p50 / first.baseline) and first.ratio_to_baseline < 1
    assert second.baseline is None and second.ratio_to_baseline is None and set(second.to_json()) == KEYS
    text = rows.table([first, second], {"x": "12 ms"})
    assert text.splitlines()[0].endswith("the paper's") and text.splitlines()[1].endswith("12 ms")


def test_bandwidth_is_that_of_a_memory():
    for size in (1 << 20, 1 << 26):
        assert 5e7 < rows.cpu_bandwidth(size) < 1e13


@pytest.mark.timeout(400)
def test_every_part_in_every_precision_with_torch_beside_fp32(tmp_path):
    torch.set_num_threads(1)
    config = load_config("small", ["planner.width=16", "planner.heads=2", "policy.width=32", "policy.observation=16"])
    dims = Dims(proprio=23, visual=12, text=5, action=7, horizon=6)
    bundle = random_bundle(config, dims, "tiny", tmp_path)
    bundle = derive_bundle(bundle, "tiny", tmp_path, precisions=["int8"], fused=True)
    found = measures.build(bundle, device="cpu", threads=1, encoder=None, image_size=128)
    parts = ["plan", "condition", "denoise step", "chunk", "chunk fused"]
    assert [m.name for m in found] == parts + [f"{p} int8" for p in parts]
    assert [m.baseline is not None for m in found] == [True] * 5 + [False] * 5
    size = {m.name: m.reads for m in found}
    assert size["chunk"] == size["condition"] + 10 * size["denoise step"] and size["plan int8"] < size["plan"]
    assert next(m for m in found if m.name == "chunk").weights == size["condition"] + size["denoise step"]
    for row in rows.run(found, 2, rows.cpu_bandwidth):
        assert 0 < row.p50 <= row.p99 and row.floor > 0 and row.n == 2


def test_command_writes_table_and_json(tiny_models, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--model", "tiny", "--n", "3", "--json", "bench.json"]) == 0
    assert "denoise step" in capsys.readouterr().out
    body = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in body["measures"]] == ["encode", "plan", "condition", "denoise step", "chunk"]
    assert all(set(row) == KEYS and row["n"] == 3 and row["unit"] == "ms" for row in body["measures"])
    assert body["machine"]["cpu"] and body["versions"]["onnxruntime"] and body["anchors"] == {}
    assert main(["bench", "--model", "tiny", "--config", "small"]) == 2
    assert main(["bench", "--model", "tiny", "--fused"]) == 2


def test_a_device_without_back_end_is_refused(tiny_models, monkeypatch, capsys):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() or torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    assert main(["bench", "--model", "tiny", "--device", "cuda"]) == 1
    assert "onnxruntime-gpu" in capsys.readouterr().err
    assert main(["bench", "--config", "paper", "--device", "cuda"]) == 1, "before a gigabyte is written"


def test_paper_configuration_has_the_papers_size(tmp_path, capsys):
    file = tmp_path / "info.json"
    assert main(["info", "--config", "paper", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    for part, theirs in (("planner", 0.33e9), ("policy", 0.23e9), ("total", 0.56e9)):
        assert found["parameters"][part] == pytest.approx(theirs, rel=0.05)
    assert found["memory_bytes"]["fp16"] == 2 * found["parameters"]["total"]
    assert "the paper's 0.33 B" in capsys.readouterr().out
    assert main(["info", "--config", "papper"]) == 2
    assert "Did you mean paper" in capsys.readouterr().err
    assert main(["info", "--config", "small", "--suites"]) == 2
