"""A planner in torch out of a run or a bundle: the same numbers as the graph, or a refusal."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bundle import write_tiny_models

from clad.errors import CladError
from clad.figures import planners
from clad.figures.planners import open_planner
from clad.model.dynamics import Observed
from clad.runtime.session import open_session

SHIPPED = Path(__file__).parents[4] / "models" / "clad-libero10-book"


def test_weights_out_of_a_graph_compute_what_the_graph_computes():
    planner = open_planner(str(SHIPPED))
    rng = np.random.default_rng(3)
    session = open_session(SHIPPED / "planner.onnx")
    feed = {i.name: rng.standard_normal((4, *i.shape[1:])).astype(np.float32) for i in session.get_inputs()}
    given = {name: torch.from_numpy(values) for name, values in feed.items()}
    past, now = Observed(given["proprio_past"], given["visual_past"]), Observed(given["proprio"], given["visual"])
    found = planner.model(past, now, given["text"], given["actions"])
    expected = session.run(["proprio_foresight", "semantic_foresight"], feed)
    np.testing.assert_allclose(found.proprio, expected[0], atol=1e-5)
    np.testing.assert_allclose(found.semantic, expected[1], atol=1e-5)
    z = planner.model.cross_modal(past, now, given["text"], given["actions"])
    assert z.shape == (4, planner.config.width)
    np.testing.assert_allclose(planner.model.foresee_semantic(z).reshape(4, -1), expected[1].reshape(4, -1), atol=1e-5)
    assert planner.held_out is None and planner.cameras == ("agentview", "wrist")


def test_weights_that_were_read_wrongly_are_noticed(monkeypatch):
    read = planners._weights
    name = "transition.cross.query.weight"  # transposed, it would still fit
    monkeypatch.setattr(planners, "_weights", lambda file: {k: v.T if k == name else v for k, v in read(file).items()})
    with pytest.raises(CladError, match="strays from torch|differs"):
        open_planner(str(SHIPPED))


def test_planners_without_z_dyn_are_refused(tmp_path):
    model = write_tiny_models(tmp_path)
    with pytest.raises(CladError, match="CLaD planner of its configuration|does not show its weights"):
        open_planner(str(model))
    body = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(body | {"config": {"planner": {"kind": "lbp"}, "policy": {}}}))
    with pytest.raises(CladError, match="has no z_dyn"):
        open_planner(str(model))
