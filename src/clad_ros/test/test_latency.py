"""Joining latencies that arrive in two messages, in either order."""

from __future__ import annotations

from clad_ros import latency
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
    whole, compute = meter.results()
    assert len(whole) == 1 and 0 <= whole[0] < 60 and compute == [0.75]


def test_it_stays_small_however_long_an_episode(monkeypatch):
    monkeypatch.setattr(latency, "WAITING", 10)
    monkeypatch.setattr(latency, "KEPT", 20)
    meter = LatencyMeter()
    for seq in range(1, 200):  # nothing but losses: chunks without plans, plans without chunks, neither
        meter.published(seq)
        if seq % 3 == 1:
            meter.received(seq, seq, 0.0)
        elif seq % 3 == 2:
            meter.planned(seq, 0.0)
    assert meter.results() == ([], [])
    for seq in range(200, 300):  # after all of that the newest are still joined
        meter.published(seq)
        meter.planned(seq, seq)
        meter.received(seq, seq, 0.5)
    assert meter.results()[1] == [seq + 0.5 for seq in range(280, 300)]
    held = [value for value in vars(meter).values() if hasattr(value, "__len__")]
    assert len(held) == 4 and sum(map(len, held)) <= 3 * 10 + 20
