"""What has to be known to read LIBERO's official demonstration files as Episodes.

Upstream writes them with scripts/create_dataset.py: it replays the actions, and what it stores in row t of `obs` was
seen *after* action t, while row t of `states` is from before. The first five steps of each replay are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import h5py
import numpy as np

DEMOS_PER_TASK = 50  # in every official file of every suite
ARM_JOINTS = tuple(f"robot0_joint{i}" for i in range(1, 8))
_ARM = slice(1, 1 + len(ARM_JOINTS))  # a flat MuJoCo state is time, qpos, qvel, and the arm comes first in qpos
_SAME_POSE = 0.01  # rad; replays drift a little from the states that they are held against
# joint type -> entries in qpos, entries in qvel
_SIZES = {"free": (7, 6), "ball": (4, 3), "hinge": (1, 1), "slide": (1, 1)}


def task_name(attrs: Mapping) -> str:
    """LIBERO's name of the task, e.g. KITCHEN_SCENE3_turn_on_the_stove; empty where the file does not tell."""
    return PurePosixPath(str(attrs.get("bddl_file_name", ""))).stem


def instruction(attrs: Mapping) -> str:
    """The task in words, from the file name as upstream's benchmark has it; the BDDL text differs in 29 of 130 tasks."""
    words = task_name(attrs).split("_")
    scenes = [i for i, word in enumerate(words) if word.startswith("SCENE") and word[5:].isdigit()]
    if scenes and words[0].isupper():
        words = words[scenes[0] + 1 :]
    if any(words):
        return " ".join(words)
    return str(json.loads(attrs.get("problem_info", "{}")).get("language_instruction", "")).strip('"')


def count_problems(path: Path) -> list[tuple[str, str]]:
    """(attribute, what is wrong with it) where a file does not hold what it says, or an official one not all of it."""
    with h5py.File(path) as file:
        data = file["data"]
        names = [name for name in data if name.startswith("demo_")]
        demos = [demo for name in names if (demo := data.get(name)) is not None]  # None: its part is gone
        samples = sum(len(demo["actions"]) for demo in demos if "actions" in demo)
        found = [
            (name, f"is {data.attrs[name]}, the file holds {count}")
            for name, count in (("num_demos", len(names)), ("total", samples))
            if name in data.attrs and int(data.attrs[name]) != count
        ]
        official = bool(demos) and "bddl_file_content" in data.attrs and "model_file" in demos[0].attrs
        if official and len(names) != DEMOS_PER_TASK:
            found.append(("demos", f"are {len(names)}, upstream's files hold {DEMOS_PER_TASK}"))
        return found


def observed_after_action(states: np.ndarray | None, joints: np.ndarray) -> bool:
    """Whether the observations are one step late: joints (T, 7) agree with the next row of states (T, S), not with theirs.

    Without states there is nothing to hold them against, and the rows are taken as they are.
    """
    if states is None or len(states) < 2 or states.shape[1] < _ARM.stop:
        return False
    here = np.abs(states[:, _ARM] - joints).mean()
    after = np.abs(states[1:, _ARM] - joints[:-1]).mean()
    return bool(after < here and after < _SAME_POSE)


def velocities_from_states(states: np.ndarray | None, model_xml: str | None) -> np.ndarray | None:
    """Joint velocities (T, 7) in rad/s out of flat states (T, S), with the demo's own model to say where they are.

    None when there are no states, no model, or they do not belong together.
    """
    if states is None or not model_xml:
        return None
    try:
        world = ElementTree.fromstring(model_xml).find("worldbody")
    except ElementTree.ParseError:
        return None
    address, n_position, n_velocity = {}, 0, 0
    for element in world.iter() if world is not None else ():
        if element.tag in ("joint", "freejoint"):
            kind = "free" if element.tag == "freejoint" else element.get("type", "hinge")
            address[element.get("name")] = n_velocity
            n_position += _SIZES[kind][0]
            n_velocity += _SIZES[kind][1]
    if states.shape[1] != 1 + n_position + n_velocity or not address.keys() >= set(ARM_JOINTS):
        return None
    return states[:, [1 + n_position + address[name] for name in ARM_JOINTS]]
