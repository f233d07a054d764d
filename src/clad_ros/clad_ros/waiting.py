"""What has arrived, before what is done with it."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.subscription import Subscription


def take_waiting(subscriptions: Iterable[Subscription]) -> None:
    """Call back, on this thread and in this order, for every message that waits at these subscriptions.

    For a timer that acts on what it was told: an executor hands out one message of each topic between two runs of a busy
    timer, so that a fault could wait behind news of no weight for many control periods.
    """
    for subscription in subscriptions:
        for _ in range(subscription.qos_profile.depth):  # a flood must not keep the timer from acting
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                break
            subscription.callback(taken[0])
