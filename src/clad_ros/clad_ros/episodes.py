"""The action /run_episode, which the bridge of a simulator and that of an arm offer alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future

from clad.errors import CladError
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import EpisodeStatus
from clad_ros import topics
from clad_ros.node import CladNode

OUTCOMES = {EpisodeStatus.SUCCESS: "success", EpisodeStatus.TIMEOUT: "timeout", EpisodeStatus.ABORTED: "aborted"}


class Episode(Protocol):
    """phase: as in EpisodeStatus. finished: resolves to the RunEpisode result, all but its bag."""

    phase: int
    finished: Future


class EpisodeServer:
    """begin: starts the episode of a goal, or raises CladError. cancel: ends the running one; its phase is then ABORTED."""

    def __init__(
        self, node: CladNode, *, begin: Callable[[RunEpisode.Goal], Episode], cancel: Callable[[], None]
    ) -> None:
        self._begin, self._cancel = begin, cancel
        self._server = ActionServer(
            node,
            RunEpisode,
            topics.RUN_EPISODE,
            self._run,
            goal_callback=lambda goal: GoalResponse.ACCEPT if node.active else GoalResponse.REJECT,
            cancel_callback=self._on_cancel,
        )

    def destroy(self) -> None:
        self._server.destroy()

    async def _run(self, goal_handle) -> RunEpisode.Result:
        request = goal_handle.request
        try:
            episode = self._begin(request)
        except CladError as error:
            goal_handle.abort()
            return RunEpisode.Result(outcome="aborted", reason=str(error), bag=request.bag)
        result = await episode.finished
        result.bag = request.bag
        if goal_handle.is_cancel_requested:
            goal_handle.canceled()
        elif episode.phase == EpisodeStatus.ABORTED:
            goal_handle.abort()
        else:
            goal_handle.succeed()
        return result

    def _on_cancel(self, goal_handle) -> CancelResponse:
        self._cancel()
        return CancelResponse.ACCEPT
