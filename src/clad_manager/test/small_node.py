"""A node without work, as a process: python small_node.py NAME [refuse]. Refusing, it cannot be configured."""

import sys

from clad.errors import CladError
from clad_ros.node import CladNode, run_node

NAME, REFUSES = sys.argv[1], sys.argv[2:] == ["refuse"]


class Small(CladNode):
    def __init__(self) -> None:
        super().__init__(NAME)
        self.set_parameters([rclpy.Parameter("auto_activate", value=False)])

    def configure(self) -> None:
        if REFUSES:
            raise CladError("the model is broken", "Take another")

    def activate(self) -> None:
        print(f"{NAME} is active", flush=True)

    def release(self) -> None:
        pass


if __name__ == "__main__":
    import rclpy

    sys.exit(run_node(Small, args=[]))
