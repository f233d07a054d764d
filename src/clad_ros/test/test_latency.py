"""Joining latencies that arrive in two messages, in either order."""

from __future__ import annotations

from clad_ros.latency import LatencyMeter


def test_the_first_chunk_of_an_observation_counts_and_is_joined_with_its_plan():
    meter = LatencyMeter()
    meter.published(100)
    meter.received(100, 1, 0.25)  # the chunk is here before its foresight
    meter.planned(1, 0.5)
    meter.received(100, 2, 9.0)  # planned again from the same observation
    meter.planned(2, 9.0)
    meter.published(200)
    meter.received(200, 3, 0.25)  # its foresight never comes
    meter.received(300, 4, 0.25)  # nobody published that
    latency, compute = meter.results()
    assert len(latency) == 1 and 0 <= latency[0] < 60 and compute == [0.75]
