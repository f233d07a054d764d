"""The scripted expert on real LIBERO, on sampled scenes only."""

import numpy as np
import pytest

from clad.errors import UsageError
from clad.sim.expert.goals import in_order
from clad.sim.expert.noise import ActionNoise, Kick, Mishaps, sample_mishaps
from clad.sim.expert.operator import OPEN, Operator
from clad.sim.expert.tasks import EXPERTS, Outcome, run_expert, script_for
from clad.sim.expert.trial import table, try_expert
from clad.sim.libero_env import LiberoEnv
from clad.sim.suites import task_info


@pytest.fixture(scope="module")
def env():
    with LiberoEnv("libero_10", 5, visuals="fast") as env:
        yield env


def play(env, seed, mishaps):
    from clad.sim.expert.operator import EpisodeOver

    env.reset_sampled(seed)
    trace = []
    op = Operator(env, max_steps=env.max_steps, mishaps=mishaps, on_step=trace.append)
    with pytest.raises(EpisodeOver) as end:
        script_for("libero_10", 5)(op)
    return end.value.success, trace


@pytest.mark.parametrize("seed", [101, 102])
def test_solves_the_book_task_with_disturbances(env, seed):
    env.reset_sampled(seed)
    trace = []
    outcome = run_expert(env, seed, on_step=trace.append)
    assert outcome.success and env.success()
    assert outcome.steps == len(trace) < 300
    assert all(np.abs(t.executed).max() <= 1 and np.abs(t.expert).max() <= 1 for t in trace)
    assert [t.observation.step for t in trace] == list(range(len(trace)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("task", "seed"),
    [(3, 1028), (3, 1031), (9, 524)],
    ids=["a bowl above the handles", "a bowl that hangs by its thin wall", "a mug near the microwave's ceiling"],
)
def test_what_once_cost_all_steps(task, seed):
    with LiberoEnv("libero_10", task, visuals="fast", image_size=16) as env:
        env.reset_sampled(seed)
        outcome = run_expert(env, seed)
    assert outcome.success and outcome.steps < 300


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("suite", "task"), [(s, t) for s, known in EXPERTS.items() for t in known if (s, t) != ("libero_10", 5)]
)
def test_solves_the_other_scripted_tasks(suite, task):
    with LiberoEnv(suite, task, visuals="fast") as env:
        outcomes = []
        for seed in (101, 102):
            env.reset_sampled(seed)
            outcomes.append(run_expert(env, seed).success)
    assert any(outcomes)


@pytest.mark.parametrize(
    "mishaps",
    [
        Mishaps(early_close=True),
        Mishaps(off_target=np.array([0.035, 0.0])),
        Mishaps(kicks=(Kick(start=8, steps=6, motion=np.array([-0.8, 0.5, 0.3, 0, 0, 0.2])),)),
    ],
    ids=["early close", "missed slot", "kick"],
)
def test_recovers_and_marks_only_the_mistake_as_no_example(env, mishaps):
    success, trace = play(env, 103, mishaps)
    assert success
    valid = np.array([t.label_valid for t in trace])
    assert 3 < (~valid).sum() < 60 and valid[-20:].all() and valid[:3].all()
    _, plain = play(env, 103, Mishaps())
    assert all(t.label_valid for t in plain)
    assert len(trace) > len(plain)


def test_an_early_close_is_followed_by_opening_again(env):
    _, trace = play(env, 104, Mishaps(early_close=True))
    after = next(i for i, t in enumerate(trace) if i and t.label_valid and not trace[i - 1].label_valid)
    assert trace[after - 1].expert[6] == 1.0 and trace[after].expert[6] == -1.0
    assert np.abs(trace[after].observation.gripper_position).sum() < 0.01  # it holds nothing


def test_a_kick_ends_before_the_arm_is_straight(env):
    """With the elbow past straight the controller cannot bend it again: such an episode would be lost."""
    env.reset_sampled(105)
    elbow = []
    out = Kick(start=0, steps=60, motion=np.array([1.0, 0, 0.3, 0, 0, 0]))
    mishaps = Mishaps(kicks=(out,))
    op = Operator(env, max_steps=100, mishaps=mishaps, on_step=lambda t: elbow.append(t.observation.joint_position[3]))
    op.act(np.zeros(6), OPEN)
    assert 15 < op.steps < 40
    home = op.hand - [0.15, 0, 0.1]
    for _ in range(30):
        op.act(np.append(op.toward(home), np.zeros(3)), OPEN)
    assert np.linalg.norm(op.hand - home) < 0.06 and max(elbow) < -0.7


def test_goals_in_an_order_that_works():
    """The stove is turned on before its burner is full, a door is closed behind what belongs inside."""
    place, turn = ("on", "moka_pot_1", "flat_stove_1_cook_region"), ("turnon", "flat_stove_1")
    assert in_order([place, turn]) == [turn, place]
    close, put = ("close", "microwave_1"), ("in", "white_yellow_mug_1", "microwave_1_heating_region")
    assert in_order([close, put]) == [put, close]
    with pytest.raises(UsageError, match="open white_cabinet_1"):
        in_order([("open", "white_cabinet_1_top_region")])


def test_every_task_with_an_expert_has_a_skill_for_each_of_its_goals():
    import libero.libero.envs.bddl_utils as bddl

    for suite, known in EXPERTS.items():
        for task in known:
            goals = bddl.robosuite_parse_problem(str(task_info(suite, task).bddl))["goal_state"]
            assert in_order(map(tuple, goals)), (suite, task)
    assert set(EXPERTS["libero_10"]) == set(range(10))


def test_table_of_trials():
    tried = [Outcome(success=True, reason="success", steps=100 + 10 * i) for i in range(9)]
    tried.append(Outcome(success=False, reason="step limit", steps=520))
    row = table({("libero_10", 3): tried}).splitlines()[-1]
    assert row == "| libero_10 | 3 | 9/10 | 59.6-98.2 % | 140 | step limit |"
    with pytest.raises(UsageError, match="no scripted expert"):
        next(try_expert("libero_90", 3, [500]))


def test_noise_is_on_the_executed_action_alone_and_correlated():
    noise = ActionNoise(np.random.default_rng(4))
    action = np.array([0.1, 0, -0.1, 0, 0, 0, 1.0])
    executed = np.stack([noise(action) for _ in range(4000)])
    spread = (executed - action)[:, :6]
    assert (executed[:, 6] == 1.0).all() and np.array_equal(action, [0.1, 0, -0.1, 0, 0, 0, 1.0])
    assert 0.1 < spread[:, 0].std() < 0.25 and spread[:, 3].std() < 0.5 * spread[:, 0].std()
    assert np.corrcoef(spread[:-1, 0], spread[1:, 0])[0, 1] > 0.1


def test_share_of_clean_and_disturbed_episodes():
    plans = [sample_mishaps(np.random.default_rng(i)) for i in range(600)]
    kinds = [sum(bool(x) for x in (p.kicks, p.early_close, p.off_target is not None)) for p in plans]
    assert 0.35 < np.mean([k > 0 for k in kinds]) < 0.53
    assert 0.1 < np.mean([ActionNoise(np.random.default_rng(i)).white == 0 for i in range(600)]) < 0.2


def test_task_without_an_expert_is_refused():
    with pytest.raises(UsageError, match="libero_10 0, 1"):
        script_for("libero_goal", 0)
