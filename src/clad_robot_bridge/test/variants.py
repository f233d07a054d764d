"""The fake robot's contract with something changed, as a file."""

from __future__ import annotations

from importlib import resources

import yaml


def variant(tmp_path, **changes) -> str:
    """The fake robot's contract with another driver, or another field, as a file."""
    body = yaml.safe_load((resources.files("clad.contract") / "robots" / "fake.yaml").read_text())
    body["driver"].update(changes.pop("driver", {}))
    body.update(changes)
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(body))
    return str(path)
