"""The backward planner against an independent float64 computation, its targets, and that it learns to plan."""

import equations
import numpy as np
import pytest
import torch
from equations import PLANNER_DIMS as DIMS
from equations import planner_inputs, run_planner
from hypothesis import given
from hypothesis import strategies as st
from tiny_demos import CAMERAS, FEATURES, encoded

from clad.contract import load_contract
from clad.data import statistics
from clad.data.windows import build_windows
from clad.model.backward import BackwardPlanner, backward_loss, goal_rows
from clad.model.config import Dims, PlannerConfig
from clad.model.dynamics import Observed
from clad.model.planner import build_planner, foresight_width
from clad.train.batches import WindowTensors
from clad.train.objective import BackwardObjective

CONFIG = PlannerConfig(kind="lbp", hidden=10, proprio_tokens=1, semantic_tokens=3, subgoals=4)


def build() -> BackwardPlanner:
    torch.manual_seed(0)
    model = build_planner(DIMS, CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_goals_are_halved_back_to_the_present():
    model, values = build(), planner_inputs()
    _, _, p, v, text, _ = values
    foreseen = run_planner(model, values)
    assert foreseen.semantic.shape == (3, 3, foresight_width(DIMS, CONFIG))
    for i in range(3):
        seen, told = v[i].double().numpy(), text[i].double().numpy()
        grounded = equations.film(model.film, seen, told)
        way = equations.mlp(model.final, grounded)
        goals = [seen + way]
        for _ in range(4):
            way = equations.mlp(model.halve, np.concatenate([grounded, way]))
            goals.append(seen + way)
        np.testing.assert_allclose(model.goals(Observed(p, v), text)[i].detach().numpy(), goals, atol=2e-5)
        np.testing.assert_allclose(foreseen.semantic[i].detach().numpy(), goals[-3:], atol=2e-5)


def test_only_picture_and_words_matter():
    model, values = build(), planner_inputs()
    before = run_planner(model, values).semantic
    for number, matters in enumerate((False, False, False, True, True, False)):
        changed = [v + 1.0 if n == number else v for n, v in enumerate(values)]
        assert torch.equal(before, run_planner(model, changed).semantic) != matters, number


def test_nothing_is_said_about_the_robot():
    model, values = build(), planner_inputs()
    foreseen = run_planner(model, values)
    assert foreseen.proprio.shape == (3, 1, DIMS.visual) and not foreseen.proprio.any()
    assert torch.equal(model.predict_proprio(foreseen, Observed(values[2], values[3])), values[2])


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 7))
def test_goal_rows(now, way, subgoals):
    rows = goal_rows(torch.tensor([now]), torch.tensor([now + way]), subgoals)[0].tolist()
    assert rows[0] == now + way and len(rows) == subgoals + 1
    for far, near in zip(rows, rows[1:]):
        assert 0 <= 2 * (near - now) - (far - now) <= 1, "half the way, rounded away from the present"
    assert rows[-1] > now or way == 0


def test_loss():
    rng = np.random.default_rng(0)
    goals, targets = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
    loss = backward_loss(torch.from_numpy(goals), torch.from_numpy(targets))
    errors = [
        sum((float(goals[b, n, i]) - float(targets[b, n, i])) ** 2 for b in range(4) for i in range(5)) / 20
        for n in range(3)
    ]
    assert loss.total.item() == pytest.approx(sum(errors) / 3, rel=1e-5)
    assert loss.final.item() == pytest.approx(errors[0], rel=1e-5)
    assert loss.nearest.item() == pytest.approx(errors[-1], rel=1e-5)


def journeys(count: int) -> WindowTensors:
    """Episodes whose picture moves evenly to an end that its beginning decides, with some jitter."""
    rng = np.random.default_rng(0)
    to_end = rng.standard_normal((10, 10))
    episodes = []
    for seed in range(count):
        length = int(rng.integers(20, 40))
        start = rng.standard_normal(10)
        part = np.linspace(0, 1, length)[:, None]
        picture = ((1 - part) * start + part * (start @ to_end)).astype(np.float32)
        keys = [(c, f) for c in CAMERAS for f in FEATURES]
        features = dict(zip(keys, np.split(picture, [3, 5, 8], axis=1), strict=True))
        episodes.append(encoded(length, seed, features=features, text=np.zeros(4, np.float32)))
    windows = build_windows(
        episodes, horizon=4, proprio="ee9", cameras=CAMERAS, features=FEATURES, action=load_contract("libero").action
    )
    return WindowTensors(windows, statistics.fit(windows), blind=False, device=torch.device("cpu"))


def test_targets_are_frames_of_the_same_episode():
    windows = journeys(3)
    batch = windows.take(windows.all)
    goals = windows.goals(windows.all, 3)
    ends = torch.nonzero((goals[:, 0] == batch.now.visual).all(1))[:, 0]
    assert len(ends) == 3, "each episode's last frame is its own goal"
    first = 0
    for end in ends.tolist():
        assert torch.equal(goals[first, 0], batch.now.visual[end])
        assert torch.equal(goals[first, 1], batch.now.visual[first + (end - first + 1) // 2])
        assert (goals[first : end + 1, 0] == batch.now.visual[end]).all()
        first = end + 1


def test_it_learns_to_plan():
    """On held-in journeys the goals come out far closer than the present is, the near ones closest."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    windows = journeys(40)
    model = build_planner(
        Dims(proprio=9, visual=10, text=4, action=7, horizon=4),
        PlannerConfig(kind="lbp", hidden=64, subgoals=4, dropout=0.0),
    )
    objective, optimizer = BackwardObjective(), torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = objective.evaluate(model, windows, 0)
    for step in range(250):
        batch = windows.draw(windows.all, 128)
        optimizer.zero_grad()
        objective.loss(model, windows, batch, batch.past, batch.now, step).total.backward()
        optimizer.step()
    after = objective.evaluate(model, windows, 250)
    assert after["skill"] < 0.5 < before["skill"] and after["nearest"] < after["final"]
