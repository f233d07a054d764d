"""A window with the cameras, for `clad sim --view`. A subscriber like any other, in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from clad.contract import load_contract

REFRESH = 0.05  # s
SIDE = 448  # pixels of a camera's picture when the window opens


@contextmanager
def viewing(contract: str = "libero") -> Iterator[None]:
    """The window is open within; it closes at the end, or earlier by the user's hand."""
    process = multiprocessing.get_context("spawn").Process(target=_show, args=(contract,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(5.0)


def _show(contract_name: str) -> None:
    import cv2
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image

    from clad.eval.video import compose
    from clad_ros import topics
    from clad_ros.convert import image_from_message

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the graph's; this window goes with it
    contract = load_contract(contract_name)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("window")
    latest = {}

    def keep(camera: str):
        def receive(message: Image) -> None:
            latest[camera] = image_from_message(message, message.height, camera)

        return receive

    for camera in contract.cameras:
        node.create_subscription(Image, topics.image_topic(camera), keep(camera), topics.IMAGE_QOS)
    title = "clad sim"
    cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    cv2.resizeWindow(title, SIDE * len(contract.cameras), SIDE)
    while cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1:
        rclpy.spin_once(node, timeout_sec=REFRESH)
        if len(latest) == len(contract.cameras):
            picture = compose({camera: latest[camera] for camera in contract.cameras})
            cv2.imshow(title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        cv2.waitKey(1)
