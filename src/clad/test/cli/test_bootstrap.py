"""./clad decides what is missing. The slow tools it calls (Python's venv, pip, colcon, apt) are recorded, not run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from clad.cli.test import checkout

# `python3.11` on PATH: answers questions about itself, makes a venv of stubs, records everything else
PYTHON = """#!/bin/bash
case $1 in
    -c) exit 0 ;;
    -m)
        [ "$2" = venv ] || exit 1
        echo "venv" >>"$CALLS"
        mkdir -p "$3/bin"
        cp "$STUBS/venv_python" "$3/bin/python"; cp "$STUBS/venv_python" "$3/bin/pip"
        cp "$STUBS/colcon" "$STUBS/clad" "$3/bin/"
        echo "export VIRTUAL_ENV='$3' PATH='$3/bin':\\$PATH" >"$3/bin/activate"
        echo "home = here" >"$3/pyvenv.cfg" ;;
esac
"""
VENV_PYTHON = """#!/bin/bash
if [ "$1" = -c ]; then cd "$(dirname "$0")/.." && pwd; exit; fi
echo "$*" | grep -o -E 'fix_wheels|-r requirements/[a-z]+.txt' | sed 's/-r //' | tr '\\n' ' ' >>"$CALLS"
echo >>"$CALLS"
sleep "${PIP_TAKES:-0}"
if [ -n "$PIP_FAILS" ] && [ "$2" = pip ]; then echo "No matching distribution"; exit 1; fi
"""
COLCON = """#!/bin/bash
echo "colcon" >>"$CALLS"
mkdir -p install
echo "export AMENT_PREFIX_PATH=$PWD/install" >install/local_setup.bash
"""
CLAD = """#!/bin/bash
echo "ran: $*"
env | grep -E '^(ROS_|AMENT|CLAD|OMP|PYTHONPATH)' | sort
"""
EVERYTHING = [
    "venv",
    "requirements/ros.txt ",
    "requirements/sim.txt ",
    "requirements/runtime.txt requirements/test.txt ",
    "fix_wheels ",
    "colcon",
]


@pytest.fixture
def sandbox(tmp_path):
    """A small checkout with ./clad and stub tools; call it with arguments and extra environment."""
    root, stubs, calls = tmp_path / "here", tmp_path / "stubs", tmp_path / "calls"
    shutil.copytree(checkout() / "requirements", root / "requirements")
    for folder in ("src/pkg", "launch", "tools/composition_interfaces"):
        (root / folder).mkdir(parents=True)
    shutil.copy(checkout() / "clad", root / "clad")
    shutil.copy(checkout() / "tools" / "fix_wheels.py", root / "tools")
    (root / "src/pkg/package.xml").write_text("<package/>")
    stubs.mkdir()
    for name, text in (("python3.11", PYTHON), ("venv_python", VENV_PYTHON), ("colcon", COLCON), ("clad", CLAD)):
        (stubs / name).write_text(text)
        (stubs / name).chmod(0o755)

    def start(*arguments, path=f"{stubs}:/usr/local/bin:/usr/bin:/bin", **env):
        env = {"PATH": path, "HOME": str(tmp_path), "CALLS": str(calls), "STUBS": str(stubs), "PIP_FAILS": "", **env}
        pipe = subprocess.PIPE
        command = [root / "clad", *arguments]
        return subprocess.Popen(
            command,
            env=env,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
            # a job in the background of a script ignores Ctrl-C, and so would its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(*arguments, **options):
        calls.write_text("")
        process = start(*arguments, **options)
        process.stdout_text, process.stderr_text = process.communicate(timeout=60)
        return process, calls.read_text().splitlines()

    run.start, run.calls = start, calls
    run.root, run.stubs = root, stubs
    return run


def test_first_run_does_everything_and_the_second_nothing_quickly(sandbox):
    done, calls = sandbox("info", "--json", "x")
    assert done.returncode == 0 and calls == EVERYTHING
    assert done.stdout_text.splitlines()[0] == "ran: info --json x"
    start = time.monotonic()
    done, calls = sandbox("info")
    assert calls == [] and done.stderr_text == "" and time.monotonic() - start < 0.5


def test_only_what_changed_is_done_again(sandbox):
    sandbox("info")
    (sandbox.root / "src/pkg/module.py").write_text("linked, so of no interest")
    assert sandbox("info")[1] == []
    (sandbox.root / "src/pkg/package.xml").write_text("<package/> ")
    assert sandbox("info")[1] == ["colcon"]
    (sandbox.root / "launch/new.launch.py").touch()
    assert sandbox("info")[1] == ["colcon"]
    with (sandbox.root / "requirements/sim.txt").open("a") as file:
        file.write("another==1.0\n")
    assert sandbox("info")[1] == EVERYTHING[1:-1]


def test_training_packages_come_with_the_first_command_that_needs_them(sandbox):
    assert sandbox("eval")[1] == EVERYTHING
    assert sandbox("train", "planner")[1] == ["requirements/train.txt ", "requirements/encoder.txt "]
    assert sandbox("export")[1] == []


def test_the_viewer_comes_with_the_first_command_that_shows_something(sandbox):
    assert sandbox("sim")[1] == EVERYTHING
    assert sandbox("sim", "--watch")[1] == ["requirements/look.txt "]
    assert sandbox("watch")[1] == []
    training = ["requirements/train.txt ", "requirements/encoder.txt "]
    assert sandbox("test")[1] == [*training, "requirements/figures.txt "]


def test_pictures_of_the_latent_space_bring_what_they_need(sandbox):
    sandbox("train")
    assert sandbox("figure", "joints")[1] == []
    assert sandbox("figure", "umap")[1] == ["requirements/figures.txt "]
    assert sandbox("figure", "gradients")[1] == []


def test_another_venv_means_building_from_nothing(sandbox):
    sandbox("info")
    (sandbox.root / "build/old").touch()
    shutil.rmtree(sandbox.root / ".venv")
    (sandbox.stubs / "python3.11").write_text(PYTHON.replace("home = here", "home = there"))
    assert sandbox("info")[1] == EVERYTHING
    assert not (sandbox.root / "build/old").exists()


def test_a_failed_step_is_shown_and_taken_up_again(sandbox):
    done, calls = sandbox("info", PIP_FAILS="yes")
    assert done.returncode == 1 and calls == EVERYTHING[:2]
    assert "No matching distribution" in done.stderr_text and ".venv/setup.log" in done.stderr_text.splitlines()[-1]
    assert sandbox("info")[1] == EVERYTHING[1:]


def test_ctrl_c_during_set_up_leaves_nothing_running_and_nothing_half_stamped(sandbox):
    process = sandbox.start("info", PIP_TAKES="30")
    wait_for(lambda: sandbox.calls.exists() and "requirements/ros.txt" in sandbox.calls.read_text())
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130 and said.endswith("clad: interrupted; run it again to go on\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert sandbox("info")[1] == EVERYTHING[1:]


def test_two_at_once_set_up_once(sandbox):
    first = sandbox.start("info", PIP_TAKES="0.3")
    wait_for(lambda: sandbox.calls.exists() and "venv" in sandbox.calls.read_text())
    second = sandbox.start("info")
    said = [process.communicate(timeout=30) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert sandbox.calls.read_text().splitlines() == EVERYTHING
    assert "waiting" in said[1][1] and said[1][0].startswith("ran: info")


def wait_for(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_without_root_or_sudo_the_apt_line_is_printed(sandbox):
    for name in (
        "bash readlink dirname sha256sum cut find sort cat grep ldconfig mkdir tr flock tail rm gcc g++"
    ).split():
        if (tool := shutil.which(name, path="/usr/bin:/bin:/sbin:/usr/sbin")) is not None:
            (sandbox.stubs / name).symlink_to(tool)
    for name, text in (("id", "echo 1000"), ("apt-get", "exit 1"), ("make", "true")):
        (sandbox.stubs / name).write_text(f"#!/bin/bash\n{text}\n")
        (sandbox.stubs / name).chmod(0o755)
    done, calls = sandbox("info", path=str(sandbox.stubs))  # no cmake
    assert done.returncode == 1 and calls == []
    line = done.stderr_text.splitlines()[-1]
    assert "Run as root: apt-get install -y --no-install-recommends" in line and "cmake" in line


def test_another_ros_does_not_leak_in_and_the_users_choices_stay(sandbox):
    done, _ = sandbox(
        "info",
        PYTHONPATH="/opt/ros/humble/lib/python3",
        AMENT_PREFIX_PATH="/opt/ros/humble",
        ROS_DISTRO="humble",
        ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET",
    )
    environment = done.stdout_text.splitlines()[1:]
    assert "ROS_DISTRO=jazzy" in environment and "ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET" in environment
    assert f"AMENT_PREFIX_PATH={sandbox.root}/install:{sandbox.root}/.venv" in environment
    assert f"CLAD_MODELS_DIR={sandbox.root}/models" in environment and "OMP_WAIT_POLICY=PASSIVE" in environment
    assert "humble" not in done.stdout_text


def test_it_can_be_called_through_a_link_from_anywhere(sandbox, tmp_path):
    sandbox("info")
    link = tmp_path / "elsewhere"
    link.symlink_to(sandbox.root / "clad")
    done = subprocess.run([link], env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("ran: \n")


def test_it_is_valid_bash():
    subprocess.run(["bash", "-n", Path(checkout()) / "clad"], check=True)
