"""LIBERO's own HDF5 layout, read and written.

    data/                    attrs: tag, total, num_demos, problem_info, env_args, bddl_file_name, ...; ours: clad_contract
      demo_0/                attrs: num_samples, init_state, instruction, meta
        actions (T, 7)       native, as executed      states (T, S)   flat MuJoCo states
        robot_states (T, 9)  rewards, dones (T,)
        obs/ agentview_rgb, eye_in_hand_rgb (T, H, W, 3)  bottom row first, as upstream
             joint_states, gripper_states, ee_pos, ee_ori (axis-angle), ee_states
    and, beyond upstream's: obs/joint_velocities, obs/ee_quat (xyzw), expert_actions, label_valid, and image_valid where
    not every step has images of its own

HDF5 files break when their writer is killed, so a file under construction is an index of external links to one file
per demonstration in `<stem>.parts/`. Both kinds of file are replaced atomically: whatever moment the writer dies at,
the last complete state is there, and any HDF5 reader follows the links. `pack` makes one self-contained file of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

from clad.contract import RobotContract, image_from_opengl, image_to_opengl, load_contract
from clad.data import embedded, libero_official
from clad.data.episode import Episode, succeeded
from clad.errors import CladError

IMAGE_DATASETS = {"agentview": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
_IN_PART = "/data/demo"


def write_episode(path: Path, episode: Episode, *, states: np.ndarray | None, file_attrs: dict) -> str:
    """Append one demonstration and return its name in the file ('demo_7'). One writer at a time.

    states: (T, S) flat MuJoCo states before each action, None where the source has none (the demonstration can't be
    rendered again then). file_attrs: for `data`, dicts as JSON; they replace old ones.
    """
    path = Path(path)
    number = 1 + max((_number(n) for n in _links(path)), default=-1)
    part = parts_folder(path) / f"demo_{number}.hdf5"
    save_part(part, episode, states=states)
    return link_part(path, part, file_attrs=file_attrs)


def save_part(part: Path, episode: Episode, *, states: np.ndarray | None) -> None:
    """Write one demonstration as a file of its own. Any number of processes may, each its own file."""
    if states is not None and len(states) != len(episode):
        raise CladError(f"{len(states)} states for {len(episode)} steps", "Record one state before each action")
    with _replaced(Path(part)) as file:
        _write_demo(file.create_group(_IN_PART), episode, states)


def link_part(path: Path, part: Path, *, file_attrs: dict) -> str:
    """Make a part in `parts_folder(path)` the next demonstration of `path`; returns its name. One process at once."""
    path, part = Path(path), Path(part)
    links = _links(path)
    name = f"demo_{1 + max((_number(n) for n in links), default=-1)}"
    links[name] = (part, _IN_PART)
    _write_index(path, links, file_attrs)
    return name


def unlinked_parts(path: Path) -> list[Path]:
    """Finished parts that no demonstration of `path` refers to: their writer died before it could link them."""
    linked = {file.name for file, _ in _links(Path(path)).values()}
    return sorted(p for p in parts_folder(path).glob("[!.]*.hdf5") if p.name not in linked)


def episode_metas(path: Path) -> list[dict]:
    """What each demonstration says about its origin (`Episode.meta`), without reading the demonstrations."""
    with h5py.File(_require(path)) as file:
        return [json.loads(file["data"][n].attrs.get("meta", "{}")) for n in _sorted_names(file["data"])]


def pack(path: Path) -> None:
    """Turn an index into one self-contained file and remove the parts. Idempotent; safe to kill and repeat."""
    path = Path(path)
    _require(path)
    parts = parts_folder(path)
    links = _links(path)
    if any(file != path for file, _ in links.values()):
        with h5py.File(path) as source, _replaced(path) as target:
            data = target.create_group("data")
            data.attrs.update(source["data"].attrs)
            for name in _sorted_names(links):
                source.copy(source["data"][name], data, name=name)
    if parts.is_dir():  # the packed file is in place: what lies here is either in it or was never finished
        for left in parts.iterdir():
            left.unlink()
        parts.rmdir()


def read_episodes(path: Path) -> Iterator[Episode]:
    """Every demonstration of a LIBERO HDF5 file in order, ours or upstream's. Raises CladError for any other file."""
    for name in episode_names(path):
        yield read_episode(path, name)


def read_episode(path: Path, name: str, contract: RobotContract | None = None) -> Episode:
    """One demonstration by its name in the file. Raises CladError naming file, demonstration and field.

    contract: the robot's, whose control rate says how far rows lie apart where velocities are missing.

    Upstream's files lack joint velocities (here: from `states` where the demo carries its model, else central
    differences), a quaternion (from `ee_ori`), expert actions (here: the executed ones) and a per-demo
    instruction (from the task's name). Where their observations are one step late (libero_official), each is paired
    with the next action: the first action and the last observation have no partner and are left out.
    """
    contract = contract or load_contract("libero")
    with h5py.File(_require(path)) as file:
        data = file["data"]
        embedded.require_same(path, embedded.extract(path, data.attrs), contract)
        demo = _demo(path, data, name)
        states = _column(path, name, demo, "states") if "states" in demo else None
        joints = _column(path, name, demo, "obs/joint_states").astype(np.float64)
        late = libero_official.observed_after_action(states, joints)
        length = len(_column(path, name, demo, "actions"))

        def read(field: str, *, optional: bool = False) -> np.ndarray | None:
            if optional and field not in demo:
                return None
            values = _column(path, name, demo, field, rows=length)
            return values[:-1] if late and field.startswith("obs/") else values[1:] if late else values

        velocities = read("obs/joint_velocities", optional=True)
        if velocities is None:
            velocities = libero_official.velocities_from_states(
                read("states", optional=True), demo.attrs.get("model_file")
            )
        quaternion = read("obs/ee_quat", optional=True)
        actions = read("actions").astype(np.float64)
        expert = read("expert_actions", optional=True)
        return Episode(
            name=name,
            instruction=str(demo.attrs.get("instruction", "")) or libero_official.instruction(data.attrs),
            images={c: image_from_opengl(read(f"obs/{k}")) for c, k in IMAGE_DATASETS.items() if k in demo["obs"]},
            joint_position=read("obs/joint_states").astype(np.float64),
            joint_velocity=_differences(joints, contract.control_rate)[: len(actions)]
            if velocities is None
            else velocities,
            gripper_position=read("obs/gripper_states").astype(np.float64),
            ee_position=read("obs/ee_pos").astype(np.float64),
            ee_quaternion=Rotation.from_rotvec(read("obs/ee_ori")).as_quat() if quaternion is None else quaternion,
            executed=actions,
            expert=actions.copy() if expert is None else expert,
            label_valid=read("label_valid", optional=True),
            image_valid=read("image_valid", optional=True),
            meta=_meta(demo, data, late),
        )


def embedded_contract(path: Path) -> RobotContract | None:
    """The robot's contract that a file of ours holds among the attributes of `data`; None in upstream's."""
    with h5py.File(_require(path)) as file:
        return embedded.extract(path, file["data"].attrs)


def fingerprint(path: Path, name: str) -> str:
    """Changes when the demonstration's actions change; cheap, as no image is read."""
    with h5py.File(_require(path)) as file:
        return hashlib.sha256(_column(path, name, _demo(path, file["data"], name), "actions").tobytes()).hexdigest()


def episode_names(path: Path) -> list[str]:
    """The demonstrations in a file, in order of their number. Empty for an index without any."""
    with h5py.File(_require(path)) as file:
        return _sorted_names(file["data"])


def parts_folder(path: Path) -> Path:
    """Where the demonstrations of an unfinished file lie."""
    return Path(path).with_suffix(".parts")


# --- writing


class _replaced:
    """An HDF5 file that takes `path`'s place when the block ends without an error, and not before."""

    def __init__(self, path: Path) -> None:
        self.path, self.temporary = path, path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> h5py.File:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = h5py.File(self.temporary, "w")
        return self.file

    def __exit__(self, kind, *_) -> None:
        self.file.close()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)


def _write_demo(group: h5py.Group, episode: Episode, states: np.ndarray | None) -> None:
    n = len(episode)
    success = np.zeros(n, dtype=np.uint8)
    success[-1:] = succeeded(episode)  # upstream keeps successes only and ends the episode there
    orientation = Rotation.from_quat(episode.ee_quaternion).as_rotvec()
    group["actions"] = episode.executed
    group["expert_actions"] = episode.expert
    group["label_valid"] = episode.label_valid
    if not episode.image_valid.all():
        group["image_valid"] = episode.image_valid
    if states is not None:
        group["states"] = np.asarray(states, dtype=np.float64)
        group.attrs["init_state"] = group["states"][0]
    group["robot_states"] = np.hstack([episode.gripper_position, episode.ee_position, episode.ee_quaternion])
    group["rewards"] = success
    group["dones"] = success
    obs = group.create_group("obs")
    for camera, images in episode.images.items():
        # one chunk a frame: readers take single frames; level 1 packs rendered pictures about 3:1 at little cost
        obs.create_dataset(
            IMAGE_DATASETS.get(camera, f"{camera}_rgb"),
            data=image_to_opengl(images),
            chunks=(1, *images.shape[1:]),
            compression="gzip",
            compression_opts=1,
        )
    obs["joint_states"] = episode.joint_position
    obs["joint_velocities"] = episode.joint_velocity
    obs["gripper_states"] = episode.gripper_position
    obs["ee_pos"] = episode.ee_position
    obs["ee_quat"] = episode.ee_quaternion
    obs["ee_ori"] = orientation
    obs["ee_states"] = np.hstack([episode.ee_position, orientation])
    group.attrs["num_samples"] = n
    group.attrs["instruction"] = episode.instruction
    group.attrs["source_name"] = episode.name
    group.attrs["meta"] = json.dumps(episode.meta)


def _write_index(path: Path, links: dict[str, tuple[Path, str]], file_attrs: dict) -> None:
    attrs, total = {}, 0
    if path.is_file():
        with h5py.File(path) as old:
            attrs = dict(old["data"].attrs)
        if any(file == path for file, _ in links.values()):
            links = _as_part(path, links)
    attrs.update({k: json.dumps(v) if isinstance(v, dict) else v for k, v in file_attrs.items()})
    with _replaced(path) as index:
        data = index.create_group("data")
        for name in _sorted_names(links):
            file, inner = links[name]
            data[name] = h5py.ExternalLink(os.path.relpath(file, path.parent), inner)
            with h5py.File(file) as part:
                total += int(part[inner].attrs["num_samples"])
        attrs |= {"num_demos": len(links), "total": total, "macros_image_convention": "opengl", "tag": "libero-v1"}
        data.attrs.update(attrs)


def _as_part(path: Path, links: dict[str, tuple[Path, str]]) -> dict[str, tuple[Path, str]]:
    """Before an index replaces a packed file, the packed file gets a second name among the parts."""
    packed = parts_folder(path) / f"packed_{max(_number(n) for n in links)}.hdf5"
    packed.unlink(missing_ok=True)
    os.link(path, packed)
    return {name: (packed if file == path else file, inner) for name, (file, inner) in links.items()}


def _links(path: Path) -> dict[str, tuple[Path, str]]:
    """Demonstration -> (file that holds it, its path in there)."""
    if not path.is_file():
        return {}
    with h5py.File(_require(path)) as file:
        data = file["data"]
        links = {}
        for name in data:
            link = data.get(name, getlink=True)
            external = isinstance(link, h5py.ExternalLink)
            links[name] = (path.parent / link.filename, link.path) if external else (path, f"/data/{name}")
        return links


# --- reading


def _require(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CladError(f"demonstration file {path} does not exist", "Make it with clad demos")
    try:
        with h5py.File(path) as file:
            if "data" in file:
                return path
    except OSError as error:
        message = f"{path} is not a readable HDF5 file ({error})"
        raise CladError(message, "It is truncated or foreign: make it again") from error
    raise CladError(f"{path} has no group 'data'", "It is not in LIBERO's layout")


def _demo(path: Path, data: h5py.Group, name: str) -> h5py.Group:
    try:
        return data[name]
    except (KeyError, OSError) as error:  # an external link whose part is gone raises one of these too
        raise CladError(f"{path}: {name} cannot be opened ({error})", "Its part is missing or damaged") from error


def _column(path: Path, name: str, demo: h5py.Group, field: str, rows: int | None = None) -> np.ndarray:
    try:
        values = demo[field][:]
    except KeyError:
        raise CladError(f"{path}: {name} has no dataset {field}", "It is not in LIBERO's layout") from None
    except OSError as error:
        raise CladError(f"{path}: {name}: {field} is unreadable ({error})", "The file is damaged") from error
    if rows is not None and len(values) != rows:
        raise CladError(f"{path}: {name}: {field} has {len(values)} rows, actions {rows}", "The file is damaged")
    return values


def _differences(joints: np.ndarray, rate: float) -> np.ndarray:
    return np.gradient(joints, axis=0) * rate if len(joints) > 1 else np.zeros_like(joints)


def _meta(demo: h5py.Group, data: h5py.Group, late: bool) -> dict:
    meta = json.loads(demo.attrs.get("meta", "{}"))
    if name := libero_official.task_name(data.attrs):
        meta.setdefault("task_name", name)
    if late:
        meta["observations"] = "were one step late; paired with the next action"
    return meta


def _number(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


def _sorted_names(names) -> list[str]:
    return sorted((n for n in names if n.startswith("demo_")), key=_number)
