"""The recorder node over real DDS: gapless, latched topics too, refusals, and a kill in mid-recording."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from clad.bag.reader import read_messages, read_metadata
from clad_interfaces.msg import EpisodeStatus
from clad_interfaces.srv import StartRecording, StopRecording
from clad_recorder.bag import SIDE_FILE, is_complete, recover
from clad_ros import topics
from clad_ros.convert import image_to_message

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node

IMAGES = topics.image_topic("agentview")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def recorder(graph, root):
    return graph.start("clad_recorder", "recorder_node", "recorder", root=str(root))


@pytest.fixture(scope="module")
def images(graph, recorder):
    return graph.publisher(Image, IMAGES, topics.STATE_QOS)  # deep enough that a starved reader loses nothing


@pytest.fixture(scope="module")
def status(graph, recorder):
    return graph.publisher(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)


@pytest.fixture(scope="module")
def echo(graph, images):
    """Our own copy of the pictures, to pace the test by."""
    return graph.collect(Image, IMAGES, topics.STATE_QOS)


def test_a_process_whose_recording_was_never_closed_ends_and_leaves_a_bag(tmp_path):
    bag = tmp_path / "bag"
    code = f"""
from pathlib import Path
from clad.bag.reader import read_messages
from clad_recorder.node import Recording, Topic
topic = Topic(name="/t", type="std_msgs/msg/Bool", schema="bool data", type_hash="", qos="[]")
recording = Recording(Path({str(bag)!r}), {{"suite": "x"}}, [topic], 10, print)
recording.put(("/t", 1, 1, bytes(5)))
while not list(read_messages(Path({str(bag)!r}))):
    pass
raise KeyboardInterrupt
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "KeyboardInterrupt" in done.stderr, done.stderr
    assert not is_complete(bag) and recover(bag) == 1 and read_metadata(bag)["suite"] == "x"


def start(graph, uri: str, **metadata: str) -> StartRecording.Response:
    return graph.call(
        StartRecording,
        topics.START_RECORDING,
        uri=uri,
        metadata_keys=list(metadata),
        metadata_values=list(metadata.values()),
    )


def picture(stamp: int) -> Image:
    return image_to_message(np.full((128, 128, 3), stamp % 256, dtype=np.uint8), stamp, "camera")


def test_a_bag_has_every_message_the_latched_one_and_its_metadata(graph, recorder, root, images, echo, status):
    status.publish(EpisodeStatus(episode=3, instruction="latched before the recording"))
    images.publish(picture(1))  # before the recording: must not be in it
    graph.wait(lambda: echo, "the picture's echo")
    assert start(graph, "bags/one", task="5", model_sha256="ab").success
    for stamp in range(10, 60):
        images.publish(picture(stamp))
        graph.wait(lambda: echo and echo[-1].header.stamp.nanosec == stamp, "the picture's echo")
    stopped = graph.call(StopRecording, topics.STOP_RECORDING)
    assert stopped.success and stopped.dropped == 0, stopped.message
    bag = root / "bags" / "one"
    assert is_complete(bag)
    stamps = [deserialize_message(m.data, Image).header.stamp.nanosec for m in read_messages(bag, [IMAGES])]
    assert stamps == list(range(10, 60))
    (latched,) = [deserialize_message(m.data, EpisodeStatus) for m in read_messages(bag, [topics.EPISODE])]
    assert latched.instruction == "latched before the recording"
    received = [m.received for m in read_messages(bag)]
    assert min(received) / 1e9 >= float(read_metadata(bag)["started"]) - 0.001  # no message from before the recording
    metadata = read_metadata(bag)
    assert (metadata["task"], metadata["model_sha256"]) == ("5", "ab") and "version.clad" in metadata
    assert sum(1 for _ in read_messages(bag)) == stopped.messages


@pytest.mark.parametrize("uri", ["", ".", "../elsewhere", "/tmp/elsewhere", "bags/../.."])
def test_bags_outside_the_root_are_refused(graph, recorder, uri):
    response = start(graph, uri)
    assert not response.success and "does not lie below" in response.message


@pytest.mark.parametrize("uri", ["a" * 300, "x\0y", "result.json/bag", "link/bag"])
def test_a_name_that_is_no_place_for_a_bag_is_an_answer_and_not_the_recorders_end(graph, recorder, root, tmp_path, uri):
    (root / "result.json").touch()
    if not (root / "link").exists():
        (root / "link").symlink_to(tmp_path)  # a link that leads out of the root
    response = start(graph, uri)
    assert response.success == (uri == "x\0y")  # the middleware ends a text at its first null character
    if response.success:
        assert graph.call(StopRecording, topics.STOP_RECORDING).success and (root / "x").is_dir()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_the_recording_and_not_the_recorder(graph, recorder, root, images):
    told = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    assert start(graph, "full", seed="9").success
    file = root / "full" / "full_0.mcap"
    pid, unlimited = recorder.popen.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (file.stat().st_size + 20_000, unlimited))
    try:
        stamp = 500

        def reported() -> bool:
            nonlocal stamp
            images.publish(picture(stamp))
            stamp += 1
            return any("recording failed" in s.message for m in told for s in m.status if s.name == "recorder")

        graph.wait(reported, "the recorder to report the full disk")
        stopped = graph.call(StopRecording, topics.STOP_RECORDING)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    assert not stopped.success and "full" in stopped.message and stopped.dropped > 0
    assert read_metadata(root / "full")["seed"] == "9" and recover(root / "full") == len(
        list(read_messages(root / "full"))
    )
    assert start(graph, "after").success and graph.call(StopRecording, topics.STOP_RECORDING).success


def test_one_recording_at_a_time_and_none_over_another(graph, recorder, root):
    assert not graph.call(StopRecording, topics.STOP_RECORDING).success
    assert start(graph, "two").success
    assert "in progress" in start(graph, "three").message
    assert graph.call(StopRecording, topics.STOP_RECORDING).success
    assert "exists already" in start(graph, "two").message


def test_a_recorder_that_is_interrupted_closes_its_bag(graph, recorder, root, images):
    assert start(graph, "interrupted", seed="7").success
    assert recorder.end(signal.SIGINT) == 0, recorder.output
    assert is_complete(root / "interrupted") and read_metadata(root / "interrupted")["seed"] == "7"
    assert json.loads((root / "interrupted" / SIDE_FILE).read_text())["state"] == "complete"


def test_a_killed_recorder_leaves_what_it_had_and_its_metadata(graph, root, images, echo):
    process = graph.start("clad_recorder", "recorder_node", "recorder", root=str(root))
    graph.wait(lambda: images.get_subscription_count() == 2, "the recorder's subscription beside our own")
    assert start(graph, "killed", seed="8").success
    file = root / "killed" / "killed_0.mcap"
    empty, stamp = file.stat().st_size, 100

    def has_grown() -> bool:
        nonlocal stamp
        images.publish(picture(stamp))
        stamp += 1
        return file.stat().st_size > empty

    graph.wait(has_grown, "the first flush")
    process.end(signal.SIGKILL)
    assert not is_complete(root / "killed") and read_metadata(root / "killed")["seed"] == "8"
    stamps = [deserialize_message(m.data, Image).header.stamp.nanosec for m in read_messages(root / "killed", [IMAGES])]
    assert stamps and stamps == sorted(set(stamps))  # published unpaced: some may be skipped
    assert recover(root / "killed") == sum(1 for _ in read_messages(root / "killed"))
    with file.open("rb") as stream:
        decoded = make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages([IMAGES])
        assert [message.header.stamp.nanosec for _, _, _, message in decoded] == stamps
