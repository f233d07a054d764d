"""The graph on an arm for `ros2 launch clad_bringup robot.launch.py robot:=fake instruction:='…' …`.

What runs is described in clad_bringup/graph.py.
"""

from clad_bringup.description import describe
from clad_bringup.graph import ROBOT_ARGUMENTS, robot_graph


def generate_launch_description():
    return describe(ROBOT_ARGUMENTS, robot_graph)
