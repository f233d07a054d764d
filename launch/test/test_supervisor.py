"""The supervisor with real processes: who ends the graph, who is blamed, and that nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from clad.errors import CladError, UsageError
from clad_bringup.graph import NodeSpec
from clad_bringup.supervisor import run_graph

# prints when it is asked to end, so that tests see the order; leaves on SIGINT, and catches SIGTERM like a node
WAITS = """
    import signal, sys, time
    def end(number, _):
        print("ending" if number == signal.SIGINT else "wrong signal", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    print("up", flush=True)
    time.sleep(60)
"""
DEAF = """
    import signal, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(60)
"""
DONE = "import time; time.sleep(0.4); print('worked')"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed ROS package `toys`; call it with name=source to add executables and get their NodeSpecs."""
    marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "toys"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}")

    def add(**sources: str) -> list[NodeSpec]:
        for name, source in sources.items():
            file = tmp_path / "lib" / "toys" / f"{name}_node"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"#!{sys.executable}\n{textwrap.dedent(source)}")
            file.chmod(0o755)
        return [spec(name) for name in sources]

    return add


def spec(name: str, **parameters) -> NodeSpec:
    return NodeSpec(
        package="toys", executable=f"{name}_node", name=name, parameters=parameters, ends_graph=name == "runner"
    )


def run(specs, **options):
    lines = []
    return run_graph(specs, show=lambda node, line: lines.append((node, line)), **options), lines


@pytest.fixture(autouse=True)
def no_process_is_left_behind():
    """What libraries under other tests keep running, such as multiprocessing's resource tracker, does not count."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def test_the_runners_end_ends_the_others_newest_first(package):
    code, lines = run(package(recorder=WAITS, bridge=WAITS, runner=DONE))
    assert code == 0 and ("runner", "worked") in lines
    assert [node for node, line in lines if line == "ending"] == ["bridge", "recorder"]


def test_a_node_that_dies_brings_all_down_and_is_quoted(package):
    specs = package(
        recorder=WAITS,
        planner="""
            import sys
            print("[INFO] [1700000000.5] [planner]: loading", flush=True)
            print("planner: model 'x' was made for another robot. Give another", file=sys.stderr)
            sys.exit(1)
        """,
        runner=WAITS,
    )
    with pytest.raises(
        CladError, match=r"^node planner stopped with exit code 1: model 'x' was made for another robot"
    ):
        run(specs)


def test_a_logged_error_is_quoted_when_nothing_else_was_said(package):
    specs = package(
        policy="""
            import os, signal
            print("[ERROR] [1700000000.5] [policy]: out of memory", flush=True)
            print("[INFO] [1700000000.6] [policy]: bye", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        """
    )
    with pytest.raises(CladError, match="^node policy was killed by SIGSEGV: out of memory$"):
        run(specs)


def test_the_runners_own_fault_is_the_graphs(package):
    with pytest.raises(CladError, match="^the disk is full$"):
        run(package(bridge=WAITS, runner="import sys; sys.exit(print('runner: the disk is full') or 1)"))


def test_a_node_that_leaves_quietly_is_a_fault_too(package):
    with pytest.raises(CladError, match="node bridge stopped with exit code 0"):
        run(package(bridge="pass", runner=WAITS))


def test_a_node_that_is_still_importing_ends_without_a_traceback(package):
    specs = package(bridge="import time; print('importing', flush=True); time.sleep(60)", runner=DONE)
    code, lines = run(specs)
    assert code == 0 and [line for node, line in lines if node == "bridge"] == ["importing"]


def test_exit_code_2_is_bad_usage(package):
    with pytest.raises(UsageError, match="^unknown suite 'x'$"):
        run(package(runner="import sys; sys.exit(print('clad: unknown suite \\'x\\'') or 2)"))


def test_a_deaf_node_and_its_children_are_killed(package):
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {textwrap.dedent(DEAF)!r}])\n"
    start = time.monotonic()
    code, _ = run(package(bridge=parent + textwrap.dedent(DEAF), runner=DONE), grace=0.5)
    assert code == 0 and time.monotonic() - start < 10


def test_parameters_names_and_remaps_reach_the_node(package):
    specs = package(
        runner="""
            import sys, yaml
            arguments = sys.argv[1:]
            print(" ".join(arguments[:3] + arguments[5:]))
            print(yaml.safe_load(open(arguments[4].strip())))
        """
    )
    specs = [
        NodeSpec(
            package="toys",
            executable="runner_node",
            name="runner",
            parameters={"rate": 25.0, "json": "", "resume": False},
            remappings=(("/a", "/b"),),
            ends_graph=True,
        )
    ]
    _, lines = run(specs)
    assert lines[0] == ("runner", "--ros-args -r __node:=runner -r /a:=/b")
    assert lines[1][1] == str({"/runner": {"ros__parameters": {"json": "", "rate": 25.0, "resume": False}}})


def test_what_is_not_built_is_named_before_anything_runs(package):
    package(recorder=WAITS)
    with pytest.raises(CladError, match="package toys has no executable bridge_node"):
        run([spec("recorder"), spec("bridge")])
    with pytest.raises(CladError, match="package absent_package is not installed"):
        run([NodeSpec(package="absent_package", executable="x", name="x", parameters={})])


SUPERVISE = """
import sys
from clad_bringup.graph import NodeSpec
from clad_bringup.supervisor import run_graph
names = sys.argv[1:]
sys.exit(run_graph([NodeSpec(package="toys", executable=n + "_node", name=n, parameters={}) for n in names], grace=30))
"""


def started(tmp_path: Path, *names: str) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A supervisor in a process of its own, once all its nodes are up, and those nodes."""
    process = subprocess.Popen([sys.executable, "-c", SUPERVISE, *names], stdout=subprocess.PIPE, text=True)
    up = {process.stdout.readline() for _ in names}
    assert up == {f"[{name}] up\n" for name in names}
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_every_node_in_order(package, tmp_path, number, code):
    package(recorder=WAITS, bridge=WAITS)
    process, nodes = started(tmp_path, "recorder", "bridge")
    process.send_signal(number)
    rest, _ = process.communicate(timeout=20)
    assert rest == "[bridge] ending\n[recorder] ending\n" and process.returncode == code
    assert len(nodes) == 2 and not any(node.is_running() for node in nodes)


def test_a_second_interrupt_does_not_wait(package, tmp_path):
    package(bridge=DEAF)
    process, nodes = started(tmp_path, "bridge")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert not any(node.is_running() for node in nodes)


def test_nodes_do_not_outlive_a_killed_supervisor(package, tmp_path):
    package(recorder=WAITS, bridge=WAITS)
    process, nodes = started(tmp_path, "recorder", "bridge")
    process.kill()
    process.wait()
    assert psutil.wait_procs(nodes, timeout=10)[1] == []


def test_whoever_started_the_graph_may_end_it(package):
    specs = package(one=WAITS, two=WAITS)
    lines = []
    code = run_graph(specs, show=lambda *line: lines.append(line), until=lambda: lines.count(("two", "up")) > 0)
    assert code == 0 and ("one", "ending") in lines and ("two", "ending") in lines
