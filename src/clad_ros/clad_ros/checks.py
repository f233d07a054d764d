"""What `clad doctor` asks of the ROS installation. Each check tries the real thing and raises CladError with the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from clad.errors import CladError

# Another process must hear this one: discovery and the transport, on the domain and range that nodes would use.
_TALK = """
import sys, time, rclpy
from clad_interfaces.msg import ExecutedAction
rclpy.init()
node = rclpy.create_node(f"clad_doctor_{sys.argv[1]}")
if sys.argv[1] == "talk":
    publisher = node.create_publisher(ExecutedAction, sys.argv[2], 1)
    while True:
        publisher.publish(ExecutedAction(values=[0.5], reason="doctor"))
        time.sleep(0.02)
heard = []
node.create_subscription(ExecutedAction, sys.argv[2], heard.append, 1)
start = time.monotonic()
while not heard and time.monotonic() < start + 8:
    rclpy.spin_once(node, timeout_sec=0.1)
print(f"{time.monotonic() - start:.2f}" if heard and list(heard[0].values) == [0.5] else "")
"""


def interfaces() -> str:
    """The interfaces are built and importable."""
    from clad_interfaces import action, msg, srv

    names = [n for module in (msg, srv, action) for n in vars(module) if n[0].isupper() and "_" not in n]
    return f"clad_interfaces has {', '.join(sorted(names))}"


def discovery() -> str:
    """Two processes find each other and a message crosses."""
    topic = f"/clad_doctor_{os.getpid()}"
    with tempfile.TemporaryFile() as log:
        talker = subprocess.Popen([sys.executable, "-c", _TALK, "talk", topic], stderr=log)
        try:
            done = subprocess.run(
                [sys.executable, "-c", _TALK, "listen", topic], capture_output=True, text=True, timeout=60
            )
        finally:
            talker.kill()
            talker.wait()
    domain, where = os.environ.get("ROS_DOMAIN_ID", "0"), os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if not done.stdout.strip():
        said = (done.stderr.strip().splitlines() or ["no message arrived within 8 s"])[-1]
        raise CladError(
            f"domain {domain}, range {where}: {said}",
            "Set ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, another ROS_DOMAIN_ID (0 to 101), and look for a firewall on loopback",
        )
    return f"a message crossed after {done.stdout.strip()} s (domain {domain}, range {where})"
