"""When an observation may be planned: whatever the order of arrival, with its whole past or not at all."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clad_planner.inbox import Episode, Inbox, merge_jobs

PERIOD = 50_000_000
EPISODE = Episode(id=2, start=7 * 10**9, instruction="do it", seed=3, lockstep=True)


def stamp(step: int, episode: Episode = EPISODE) -> int:
    return episode.start + step * PERIOD


def action(step: int) -> np.ndarray:
    return np.full(7, float(step))


@settings(deadline=None, database=None, max_examples=60)
@given(order=st.permutations(["episode", "observation", *range(6)]))
def test_the_order_of_arrival_does_not_matter(order):
    inbox, jobs = Inbox(PERIOD), []
    for what in order:
        if what == "episode":
            inbox.begin(EPISODE)
        elif what == "observation":
            inbox.observed(stamp(6), {"image": 1})
        else:
            inbox.executed(EPISODE.id, what, action(what))
        jobs += [job for job in [inbox.job()] if job is not None]
        assert not jobs or what == order[-1]  # not before the last piece is here
    (job,) = jobs
    assert (job.step, job.stamp, job.messages, job.episode) == (6, stamp(6), {"image": 1}, EPISODE)
    assert [s for s, _ in job.executed] == list(range(6))
    assert all(np.array_equal(a, action(s)) for s, a in job.executed)


def test_each_action_is_handed_over_once_and_repeats_are_ignored():
    inbox = Inbox(PERIOD)
    inbox.begin(EPISODE)
    inbox.observed(stamp(0), {})
    assert inbox.job().executed == ()
    for step in (0, 1, 0, 1):
        inbox.executed(EPISODE.id, step, action(step))
    inbox.observed(stamp(2), {})
    assert [s for s, _ in inbox.job().executed] == [0, 1]
    inbox.executed(EPISODE.id, 2, action(2))
    inbox.observed(stamp(3), {})
    assert [s for s, _ in inbox.job().executed] == [2]


def test_nothing_of_the_last_episode_reaches_the_next():
    inbox = Inbox(PERIOD)
    inbox.begin(EPISODE)
    inbox.executed(EPISODE.id, 0, action(0))
    inbox.observed(stamp(1), {})
    assert inbox.job() is not None
    following = dataclasses.replace(EPISODE, id=3, start=EPISODE.start + 5 * 10**9)
    inbox.begin(following)
    assert inbox.job() is None  # the observation at hand is older than the episode
    inbox.observed(stamp(1, following), {})
    assert inbox.job() is None  # and the action at step 0 was another episode's
    inbox.executed(3, 0, action(9))
    assert inbox.job().executed[0][1][0] == 9.0


def test_a_robot_that_was_started_again_counts_from_one_again():
    inbox = Inbox(PERIOD)
    inbox.begin(EPISODE)
    inbox.executed(EPISODE.id, 0, action(1))
    assert not inbox.begin(EPISODE)  # told again
    assert inbox.begin(dataclasses.replace(EPISODE, id=1))
    inbox.executed(1, 0, action(2))
    later = dataclasses.replace(EPISODE, start=EPISODE.start + 10**9)
    assert inbox.begin(later)
    inbox.observed(stamp(1, later), {})
    assert inbox.job() is None  # the action that is known was another episode's of the same number
    inbox.executed(later.id, 0, action(3))
    assert inbox.job().executed[0][1][0] == 3.0
    assert inbox.begin(later, restarted=True)  # the same words again, by another clock


def test_an_episode_that_has_ended_is_not_planned():
    inbox = Inbox(PERIOD)
    inbox.begin(EPISODE)
    inbox.end()
    inbox.observed(stamp(0), {})
    assert inbox.job() is None


def test_free_run_goes_on_over_a_lost_action_but_not_ahead_of_the_last_one():
    inbox = Inbox(PERIOD)
    inbox.begin(dataclasses.replace(EPISODE, lockstep=False))
    inbox.observed(stamp(4), {})
    inbox.executed(EPISODE.id, 2, action(2))
    assert inbox.job() is None
    inbox.executed(EPISODE.id, 3, action(3))
    assert [s for s, _ in inbox.job().executed] == [2, 3]


def test_a_replaced_job_leaves_its_actions_behind():
    inbox = Inbox(PERIOD)
    inbox.begin(EPISODE)
    jobs = []
    for step in range(3):
        inbox.observed(stamp(step), {"step": step})
        jobs.append(inbox.job())
        inbox.executed(EPISODE.id, step, action(step))
    merged = merge_jobs(merge_jobs(jobs[0], jobs[1]), jobs[2])
    assert merged.messages == {"step": 2} and [s for s, _ in merged.executed] == [0, 1]
    other = dataclasses.replace(jobs[2], episode=dataclasses.replace(EPISODE, id=9))
    assert merge_jobs(jobs[1], other) is other
