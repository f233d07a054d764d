"""The simulated graph for `ros2 launch clad_bringup sim.launch.py suite:=libero_10 task:=0 …`.

What runs is described in clad_bringup/graph.py.
"""

from clad_bringup.description import describe
from clad_bringup.graph import ARGUMENTS, sim_graph


def generate_launch_description():
    return describe(ARGUMENTS, sim_graph)
