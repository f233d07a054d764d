"""The suite on the loopback robot: some faults quickly, all of them slowly; and that a miss would be seen."""

from __future__ import annotations

import pytest

from clad_faults.report import MOST_PERIODS, Row, table
from clad_faults.suite import names, run_suite

pytestmark = pytest.mark.timeout(400)
QUICK = ["nan_joint", "two_publishers", "model_truncated", "wrong_robots_model"]
# a shared machine may starve a process for a control period; the measured table is made on a quiet one
SLACK = 3 * MOST_PERIODS


def check(rows: list[Row]) -> None:
    for row in rows:
        assert row.detected_after_periods is not None and row.detected_after_periods <= SLACK, row
        assert row.recovered, row


def test_cheap_faults_end_in_their_safe_state(domain, tiny_model, tmp_path):
    shown: list[Row] = []
    rows = run_suite("loopback", str(tiny_model), QUICK, tmp_path, shown.append)
    assert [row.name for row in rows] == QUICK and shown == rows
    check(rows)
    assert [row.state for row in rows] == ["hold", "hold", "refused at configure", "refused at configure"]
    assert "is not a finite number" in rows[0].evidence and "two publishers" in rows[1].evidence


@pytest.mark.slow
def test_every_fault_ends_in_its_safe_state(domain, tiny_model, tmp_path):
    rows = run_suite("loopback", str(tiny_model), [], tmp_path, print)
    assert [row.name for row in rows] == names()
    check(rows)


def row(**changes) -> Row:
    fields = {"name": "x", "injected": "y", "detected_after_periods": 1.0, "state": "hold", "recovered": True}
    return Row(**{**fields, "recovery": "by itself", "evidence": "a|b", **changes})


def test_late_missing_or_lasting_is_not_passed():
    assert row().passed and row(detected_after_periods=MOST_PERIODS).passed
    assert not row(detected_after_periods=MOST_PERIODS + 0.1).passed
    assert not row(detected_after_periods=None).passed and not row(recovered=False).passed
    assert "never" in table([row(detected_after_periods=None)]) and "a\\|b" in table([row()])
