"""result.json: its schema to the letter, safe writing, resuming and merging."""

import json
from dataclasses import asdict, replace

import pytest

from clad.errors import CladError, UsageError
from clad.eval.episodes import EpisodeSpec, evaluation_episodes, validation_episodes
from clad.eval.machine import machine, versions
from clad.eval.result import EpisodeRecord, EvalResult, episode_timing, read_result
from clad.eval.schema import validate
from clad.eval.table import comparison, episode_table, rate_text, run_label, summary

DIGEST = "a" * 64
FIELDS = [
    "schema",
    "n",
    "successes",
    "success_rate",
    "wilson_95",
    "suite",
    "protocol",
    "mode",
    "visuals",
    "execution",
    "perturbations",
    "model",
    "precision",
    "fused",
    "sample_steps",
    "warm_start",
    "machine",
    "versions",
    "started",
    "wall_s",
    "episodes",
]
ROW_FIELDS = [
    "suite",
    "task",
    "instruction",
    "init_index",
    "seed",
    "success",
    "outcome",
    "steps",
    "scene_hash",
    "action_hash",
    "state_hash",
    "bag",
    "video",
    "timing",
    "safety",
]


def row(init_index=0, success=True, **changes):
    timing = episode_timing(encode=[0.01], plan=[0.02], policy=[0.003], render=1.5, physics=0.5, wall=3.0, fallbacks=0)
    return replace(
        EpisodeRecord(
            suite="libero_10",
            task=5,
            instruction="pick up the book",
            init_index=init_index,
            seed=init_index or 0,
            success=success,
            outcome="success" if success else "timeout",
            steps=150,
            scene_hash=DIGEST,
            action_hash=DIGEST,
            state_hash=DIGEST,
            timing=timing,
        ),
        **changes,
    )


def result(*rows, **changes):
    settings = {
        "suite": "libero_10",
        "protocol": "exact",
        "mode": "lockstep",
        "visuals": "full",
        "model": {"name": "tiny", "sha256": DIGEST},
        **changes,
    }
    made = EvalResult(**settings)
    for r in rows:
        made.add(r)
    return made


def test_the_file_has_exactly_the_published_fields(tmp_path):
    result(row(0), row(1, success=False)).write(tmp_path / "runs" / "result.json")
    body = json.loads((tmp_path / "runs" / "result.json").read_text())
    assert list(body) == FIELDS and list(body["episodes"][0]) == ROW_FIELDS
    assert (body["n"], body["successes"], body["success_rate"]) == (2, 1, 0.5)
    assert body["wilson_95"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    assert body["episodes"][0]["timing"]["compute"]["p50_ms"] == pytest.approx(23)
    validate(body)


def test_read_back_it_is_the_same(tmp_path):
    made = result(row(0), row(1, success=False))
    made.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json").to_dict() == made.to_dict()


@pytest.mark.parametrize(("mode", "execution"), [("lockstep", "sync"), ("free-run", "hold")])
def test_a_file_from_before_precisions_was_run_in_fp32(tmp_path, mode, execution):
    body = result(row(0), mode=mode).to_dict()
    del body["precision"], body["fused"], body["execution"], body["sample_steps"], body["warm_start"]
    (tmp_path / "result.json").write_text(json.dumps(body))
    old = read_result(tmp_path / "result.json")
    assert (old.precision, old.fused, old.execution) == ("fp32", False, execution)
    assert (old.sample_steps, old.warm_start) == (0, False)


def test_writing_leaves_no_other_file_and_a_failed_write_the_old_one(tmp_path):
    file = tmp_path / "result.json"
    result(row(0)).write(file)
    with pytest.raises(TypeError):
        result(row(1), model={"name": "tiny", "sha256": object()}).write(file)
    assert read_result(file).episodes[0].init_index == 0
    result(row(0), row(1)).write(file)
    assert len(read_result(file).episodes) == 2


def test_rows_are_ordered_however_they_come_and_an_episode_has_one():
    made = result(row(2), row(0), row(1), row(2, success=False))
    assert [r.init_index for r in made.episodes] == [0, 1, 2]
    assert made.successes == 2


def test_on_an_arm_failures_have_as_many_steps_as_somebody_had_patience():
    rows = [replace(row(i, success=False), outcome="timeout", steps=steps) for i, steps in enumerate((150, 152))]
    arm = [replace(result(r), protocol="robot") for r in rows]
    arm[0].merge(arm[1])
    assert [r.steps for r in arm[0].episodes] == [150, 152]
    with pytest.raises(UsageError, match="different limits"):
        result(rows[0]).merge(result(rows[1]))


def test_a_row_shows_the_step_limit_that_it_was_run_with():
    made = result(row(0), row(1, success=False), row(2, success=False, outcome="aborted", steps=7))
    made.check_limit(150)
    for other in (149, 151, 520):
        with pytest.raises(UsageError, match="Go on with the --max-steps of the first run"):
            made.check_limit(other)
    result(row(0)).check_limit(520)  # a success within the limit is one under any larger limit


def test_every_row_has_the_same_measures():
    bare = episode_timing(encode=[], plan=[], policy=[], render=0.0, physics=0.0, wall=0.0)
    full = episode_timing(
        encode=[0.1], plan=[0.1], policy=[0.1], render=0.0, physics=0.0, wall=0.0, period_error=[0.1], holds=2
    )
    assert list(bare) == list(full) and bare["period_error"] is None
    assert list(bare["compute"]) == list(full["compute"]) and bare["compute"]["n"] == 0


def test_resuming_skips_finished_episodes_and_runs_aborted_ones_again():
    made = result(row(0), row(1, success=False, outcome="aborted"))
    spec = EpisodeSpec(suite="libero_10", task=5, init_index=0, seed=0)
    assert made.has(spec)
    assert not made.has(replace(spec, seed=1)) and not made.has(replace(spec, init_index=1, seed=1))
    sampled = result(row(None, seed=100_000), protocol="sampled")
    assert sampled.has(replace(spec, init_index=None, seed=100_000))


def test_merging_takes_over_rows_and_refuses_another_experiment():
    made = result(row(0), wall_s=10.0)
    made.merge(result(row(1), row(2), wall_s=5.0))
    assert len(made.episodes) == 3 and made.wall_s == 15
    with pytest.raises(CladError, match="visuals is fast, not full"):
        made.merge(result(row(3), visuals="fast"))
    with pytest.raises(CladError, match="precision is int8, not fp32"):
        made.merge(result(row(3), precision="int8"))
    with pytest.raises(CladError, match="execution is blend, not sync"):
        made.merge(result(row(3), execution="blend"))
    with pytest.raises(CladError, match="model is"):
        made.merge(result(row(3), model={"name": "tiny", "sha256": "b" * 64}))


def test_merging_refuses_rows_that_disagree_and_counts_equal_ones_once():
    made = result(row(0), row(1))
    made.merge(result(row(1), row(2)))
    assert [r.init_index for r in made.episodes] == [0, 1, 2]
    for change in ({"steps": 151}, {"action_hash": "c" * 64}, {"success": False, "outcome": "timeout"}):
        with pytest.raises(UsageError, match="initial state 2 and seed 2 has a success after 150 steps in one"):
            made.merge(result(row(2, **change)))
    made.merge(result(row(2, success=False, outcome="aborted")))  # nothing against a finished one
    assert made.successes == 3
    with pytest.raises(UsageError, match="timeouts after 150 and 300 steps"):
        made.merge(result(row(3, success=False), row(4, success=False, steps=300)))
    with pytest.raises(UsageError, match="perturbations is {'light': 0.5}, not {}"):
        made.merge(result(row(5), perturbations={"light": 0.5}))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda b: b.pop("versions"), "'versions' is a required property"),
        (lambda b: b.update(success_rate=1.5), "success_rate: 1.5 is greater"),
        (lambda b: b.update(protocol="loose"), "protocol: 'loose' is not one of"),
        (lambda b: b["episodes"][0].update(outcome="won"), "episodes.0.outcome"),
        (lambda b: b["episodes"][0].update(score=1), "score"),
        (lambda b: b["episodes"][0].update(action_hash="xyz"), "episodes.0.action_hash"),
        (lambda b: b.update(successes=0), "says 0 of 1, its rows 1 of 1"),
        (lambda b: b.update(schema=2), "schema: 1 was expected"),
    ],
)
def test_what_breaks_the_schema_is_named(change, where):
    body = json.loads(json.dumps(result(row(0)).to_dict()))
    change(body)
    with pytest.raises(CladError, match=where):
        validate(body)


def test_damaged_files_are_named(tmp_path):
    file = tmp_path / "result.json"
    with pytest.raises(CladError, match="result.json cannot be read"):
        read_result(file)
    file.write_text('{"n": 1')
    with pytest.raises(CladError, match="result.json is not JSON"):
        read_result(file)


def test_machine_and_versions():
    assert machine()["cores"] >= 1 and machine()["memory_gib"] > 0 and machine()["cpu"]
    assert {"clad", "python", "numpy", "onnxruntime"} <= set(versions())


def test_episodes_are_a_function_of_their_number_alone():
    common = {"n_init_states": 50, "seed": 7}
    fifty_five = evaluation_episodes("libero_10", 5, episodes=55, init=0, **common)
    assert [s.init_index for s in fifty_five] == [i % 50 for i in range(55)]
    assert [s.seed for s in fifty_five] == list(range(7, 62))
    assert evaluation_episodes("libero_10", 5, episodes=3, init=2, n_init_states=50, seed=9) == fifty_five[2:5]
    with pytest.raises(UsageError, match="no evaluation state 50. Valid: 0 to 49"):
        evaluation_episodes("libero_10", 5, episodes=1, init=50, **common)


def test_validation_scenes_stay_away_from_demonstrations():
    assert [s.seed for s in validation_episodes("libero_10", 5, episodes=2, seed=100_000)] == [100_000, 100_001]
    with pytest.raises(UsageError, match="may be a demonstration's"):
        validation_episodes("libero_10", 5, episodes=2, seed=99_999)


def test_tables():
    rows = [row(0), row(11, success=False), row(None, seed=100_000, timing={})]
    text = episode_table(rows).splitlines()
    assert len(text) == 4 and len({len(line) for line in text}) == 1  # aligned
    assert text[1].split() == ["libero_10", "5", "0", "0", "success", "150", "23.0", "23.0", "1.5", "3.0"]
    assert text[3].split() == ["libero_10", "5", "-", "100000", "success", "150", "-", "-", "-", "-"]
    markdown = episode_table(rows, markdown=True).splitlines()
    assert markdown[0].startswith("| suite |") and set(markdown[1]) == set("|-") and len(markdown) == 5
    assert rate_text(47, 50) == "47/50 = 94.0 % (Wilson 95 %: 83.8-97.9 %)"


def test_the_summary_has_a_line_a_task_when_there_are_several_and_their_average():
    one = summary(result(row(0), row(1, success=False)))
    assert one.endswith("success 1/2 = 50.0 % (Wilson 95 %: 9.5-90.5 %)") and len(one.splitlines()) == 2
    several = summary(result(row(0), row(0, task=6, success=False), row(1, task=6, success=True))).splitlines()
    assert "task 5" in several[1] and "1/1" in several[1] and "task 6" in several[2] and "1/2" in several[2]
    assert several[3] == "average over 2 tasks 75.0 %" and several[4].startswith("success 2/3")


def test_results_are_compared_task_by_task():
    plain = result(row(0), row(1, success=False), row(0, task=6))
    late = result(row(0, success=False), perturbations={"delay": 0.1}, execution="hold", precision="int8")
    table = comparison([(run_label(r), r) for r in (plain, late)]).splitlines()
    assert table == [
        "| run | 5 | 6 | average over tasks | all episodes |",
        "|---|---|---|---|---|",
        "| tiny | 1/2 (9-91 %) | 1/1 (21-100 %) | 75.0 % of 2 | 2/3 (21-94 %) |",
        "| tiny, int8, hold, delay 0.1 | 0/1 (0-79 %) | - | 0.0 % of 1 | 0/1 (0-79 %) |",
    ]


def test_records_are_plain_data():
    assert json.loads(json.dumps(asdict(row()))) == asdict(row())
