"""Recordings of a tiny model repeat bit for bit; one pixel, one action or one foresight that was altered is found."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tiny_bag import CONTRACT, PERIOD, START, changed, data, header, messages, write_bag

from clad.bag.remade import Remade
from clad.bag.replay import RTC, replay
from clad.cli.main import main
from clad.contract import Observation
from clad.errors import CladError
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.runtime.types import FORESIGHT_ARRAYS

TASK, SEED = "put the book in", 4
LOOKS = [0, 3, 6]  # steps at which tiny_bag's robot looks and a plan is made; it looks once more at the end
WRIST, FORESIGHT, CHUNK = "/wrist/image_raw", "/latent_foresight", "/action_chunk"


@pytest.fixture(scope="module")
def model(tiny_models):
    return tiny_models / "tiny"


@pytest.fixture(scope="module")
def recorded(model):
    """An episode with what planner and policy make of it, computed from the arrays and not from messages."""
    d, bundle = data(size=CONTRACT.image_size), load_bundle(model)
    planner, policy = Planner(bundle, CONTRACT), Policy(bundle, CONTRACT)
    planner.reset(TASK, SEED)
    seq, stream = 0, []
    for topic, kind, message in messages(d):
        stream.append((topic, kind, message))
        if topic == "/executed_action":
            planner.executed(message["step"], np.array(message["values"]))
        step = (stamp_of(message) - START) // PERIOD
        if topic == WRIST and step in LOOKS:
            seq += 1
            stream += answers(planner, policy, bundle, d, step, seq)
    return stream


def stamp_of(message) -> int:
    return message["header"]["stamp"]["sec"] * 10**9 + message["header"]["stamp"]["nanosec"]


def answers(planner, policy, bundle, d, step: int, seq: int):
    """The foresight and the chunk of an observation, as messages."""
    observation = Observation(
        step=step,
        images={camera: images[step] for camera, images in d.images.items()},
        joint_position=d.joints[step][:7],
        joint_velocity=d.velocities[step][:7],
        gripper_position=d.joints[step][7:],
        ee_position=d.positions[step],
        ee_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
    )
    foresight = planner.plan(observation)
    stamp, none = header(START + step * PERIOD), {"sec": 0, "nanosec": 0}
    shared = {"header": stamp, "seq": seq, "episode": 1, "model_id": bundle.id}
    yield (
        FORESIGHT,
        "clad_interfaces/msg/LatentForesight",
        shared
        | {name: getattr(foresight, name).ravel().tolist() for name in FORESIGHT_ARRAYS}
        | {
            "step": step,
            "seed": SEED,
            "instruction": TASK,
            "horizon_steps": 6,
            "horizon": {"sec": 0, "nanosec": 3 * 10**8},
        }
        | {"proprio_tokens": 2, "semantic_tokens": 2, "encode_latency": none, "plan_latency": none},
    )
    chunk, action = policy.act(foresight), CONTRACT.action
    yield (
        CHUNK,
        "clad_interfaces/msg/ActionChunk",
        shared
        | {"obs_stamp": stamp["stamp"], "foresight_seq": seq, "step_dt": none, "names": list(action.names)}
        | {"units": list(action.units), "representation": 3, "steps": 6, "values": chunk.values.ravel().tolist()}
        | {"valid_until": stamp["stamp"], "policy_latency": none},
    )


METADATA = {"contract": "libero", "contract_hash": CONTRACT.hash, "mode": "lockstep"}


def replayed(tmp_path, model, stream, metadata=METADATA):
    bag = write_bag(tmp_path / "bag", stream, metadata)
    return replay(bag, Remade.of(bag, model=str(model)))


def test_an_untouched_recording_repeats(tmp_path, model, recorded):
    found = replayed(tmp_path, model, recorded)
    assert (found.foresights.equal, found.foresights.n) == (found.chunks.equal, found.chunks.n) == (len(LOOKS),) * 2
    assert found.repeats and found.first is None and found.mode == "lockstep"


def test_neither_the_order_of_topics_nor_a_repetition_matters(tmp_path, model, recorded):
    late = sorted(recorded, key=lambda item: item[0] in (WRIST, "/executed_action"))  # after all that follows from them
    twice = [item for item in late for _ in range(2 if item[0] == FORESIGHT else 1)]
    found = replayed(tmp_path, model, twice)
    assert found.repeats and found.foresights.equal == 2 * len(LOOKS) and found.chunks.equal == len(LOOKS)


def flip_a_bit(message):
    if stamp_of(message) == START + 3 * PERIOD:
        pixels = bytearray(message["data"])
        pixels[12345] ^= 128
        message["data"] = bytes(pixels)
    return message


def test_one_pixel_is_noticed_from_its_observation_on(tmp_path, model, recorded):
    found = replayed(tmp_path, model, changed(recorded, WRIST, flip_a_bit))
    assert not found.repeats and (found.first.topic, found.first.step) == (FORESIGHT, 3)
    assert found.first.max_abs > 0 and found.foresights.equal >= 1  # the one before
    assert found.chunks.equal == len(LOOKS), "chunks follow from the foresights that were recorded"


def test_an_altered_action_is_noticed_by_the_plan_after_it(tmp_path, model, recorded):
    def alter(message):
        values = list(message["values"])
        values[0] += 0.01 if message["step"] == 4 else 0.0
        return message | {"values": values}

    found = replayed(tmp_path, model, changed(recorded, "/executed_action", alter))
    assert found.differs and (found.first.step, found.foresights.different, found.foresights.equal) == (6, 1, 2)


def test_an_altered_chunk_and_one_without_its_foresight(tmp_path, model, recorded):
    def alter(message):
        if message["seq"] == 2:
            message["values"] = [*message["values"][:-1], message["values"][-1] + 0.5]
        return message if message["seq"] != 3 else message | {"foresight_seq": 99}

    found = replayed(tmp_path, model, changed(recorded, CHUNK, alter))
    assert found.foresights.equal == len(LOOKS) and found.chunks.equal == len(LOOKS) - 2
    assert (found.first.field, found.first.values, found.first.of, found.first.step) == ("values", 1, 42, 3)
    assert found.first.max_abs == pytest.approx(0.5)
    assert dict(found.chunks.unpaired) == {"its /latent_foresight is not there": 1}


def test_what_is_missing_is_no_difference(tmp_path, model, recorded):
    lost = changed(recorded, WRIST, lambda m: None if stamp_of(m) == START + 3 * PERIOD else m)
    lost = changed(lost, "/executed_action", lambda m: None if m["step"] == 4 else m)
    found = replayed(tmp_path, model, lost)
    no_picture, no_action = found.foresights.unpaired
    assert no_picture == "no /wrist/image_raw of its stamp" and "executed action of step 4 missing" in no_action
    assert found.foresights.equal == 1 and not found.differs and not found.repeats


def test_real_time_chunking_cannot_be_made_again_and_that_is_said(tmp_path, model, recorded):
    found = replayed(tmp_path, model, recorded, METADATA | {"mode": "free-run", "execution": "rtc"})
    assert found.foresights.equal == len(LOOKS) and dict(found.chunks.unpaired) == {RTC: len(LOOKS)}


def test_only_the_very_model_will_do(tmp_path, model, recorded):
    other = tmp_path / "models" / "tiny"
    shutil.copytree(model, other)
    (other / "model.json").write_text((other / "model.json").read_text() + "\n")
    with pytest.raises(CladError, match=rf"made with {load_bundle(model).id}; there is tiny@.*--model DIR"):
        replayed(tmp_path, other, recorded)
    mixed = changed(recorded, CHUNK, lambda m: m | {"model_id": "another@0123456789ab"})
    with pytest.raises(CladError, match="another@0123456789ab beside"):
        (tmp_path / "mixed").mkdir()
        replayed(tmp_path / "mixed", model, mixed)
    silent = write_bag(tmp_path / "silent", messages(data()), METADATA)
    with pytest.raises(CladError, match="nothing to compare with"):
        Remade.of(silent, model=str(model))


def test_the_command(tmp_path, model, recorded, capsys, monkeypatch):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(model.parent))  # found by its checksum
    good = write_bag(tmp_path / "good", recorded, METADATA)
    bad = write_bag(tmp_path / "bad", changed(recorded, WRIST, flip_a_bit), METADATA)
    free = write_bag(tmp_path / "free", changed(recorded, WRIST, flip_a_bit), METADATA | {"mode": "free-run"})
    assert main(["bag", "replay", str(good), "--json", str(tmp_path / "out.json")]) == 0
    assert "3 of 3 foresights equal, 3 of 3 chunks equal" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out.json").read_text())["recordings"]
    assert row["repeats"] and row["foresights"] == {"equal": 3, "different": 0, "unpaired": {}}
    assert main(["bag", "replay", str(good), str(bad)]) == 1
    said = capsys.readouterr().out
    assert "first difference: /latent_foresight, episode 1, step 3" in said and "1 of 2 recordings repeat" in said
    assert main(["bag", "replay", str(free)]) == 0
