"""Drawing beside stepping, on the real simulator: the same pictures, newest state first, and no picture of another scene."""

import threading

import numpy as np
import pytest

pytest.importorskip("libero", reason="LIBERO is not installed")

from clad.errors import CladError
from clad.sim import render_thread
from clad.sim.libero_env import LiberoEnv
from clad.sim.render_thread import RenderThread

TIMEOUT = 60.0  # s


@pytest.fixture(scope="module")
def env():
    with LiberoEnv("libero_10", 5, visuals="fast") as env:
        env.reset(0, 0, "exact")
        yield env


@pytest.fixture
def renderer():
    """A thread, and `.wait()` for the next pictures."""
    drawn = threading.Semaphore(0)
    thread = RenderThread(drawn.release)

    def wait():
        assert drawn.acquire(timeout=TIMEOUT)
        return thread.take()

    thread.wait = wait
    yield thread
    thread.close()
    assert not any(t.name == "render" for t in threading.enumerate())


def assert_same(drawn, expected):
    assert drawn.keys() == expected.keys()
    for camera, image in expected.items():
        assert np.array_equal(drawn[camera], image), camera


def test_pictures_equal_the_environments_own_in_every_scene(env, renderer):
    for seed in (0, 1):
        if seed:
            env.reset(seed, seed, "exact")  # compiles a new model
        renderer.begin(env)
        for label, action in enumerate(np.random.default_rng(seed).uniform(-1, 1, (3, 7))):
            env.step(action)
            state = env.state()
            renderer.show(label, env)
            found, images = renderer.wait()
            assert found == label and renderer.take() is None
            assert_same(images, env.observe().images)
            assert np.array_equal(env.state(), state)
    assert renderer.seconds > 0


def test_the_newest_state_is_drawn_and_a_picture_is_of_the_state_that_was_shown(env, renderer, monkeypatch):
    renderer.begin(env)
    busy, go_on = threading.Event(), threading.Event()
    original = render_thread._Cameras.draw

    def slow(self, qpos):
        busy.set()
        assert go_on.wait(TIMEOUT)
        return original(self, qpos)

    monkeypatch.setattr(render_thread._Cameras, "draw", slow)
    renderer.show("first", env)
    assert busy.wait(TIMEOUT)
    for label in ("second", "third"):
        env.step(np.full(7, 0.5))
        renderer.show(label, env)
    expected = env.observe().images
    env.step(np.full(7, -0.5))  # after it was shown: must not be in the picture
    go_on.set()
    assert renderer.wait()[0] == "first"
    label, images = renderer.wait()
    assert (label, renderer.superseded) == ("third", 1)
    assert_same(images, expected)


def test_what_was_shown_before_a_reset_is_forgotten(env, renderer):
    renderer.begin(env)
    renderer.show("before", env)
    renderer.begin(env)
    assert renderer.take() is None
    renderer.show("after", env)
    while (done := renderer.take()) is None:
        pass
    assert done[0] == "after"


def test_a_failure_is_told_to_who_shows_the_next_state(env, renderer, monkeypatch):
    renderer.begin(env)

    def broken(self, qpos):
        raise RuntimeError("the driver lost its context")

    monkeypatch.setattr(render_thread._Cameras, "draw", broken)
    renderer.show(0, env)
    renderer._thread.join(TIMEOUT)
    for call in (lambda: renderer.show(1, env), lambda: renderer.begin(env)):
        with pytest.raises(CladError, match="drawing failed: .*lost its context"):
            call()
