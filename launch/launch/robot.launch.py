"""The graph on an arm for `ros2 launch clad_bringup robot.launch.py robot:=fake instruction:='…' …`.

What runs is described in clad_bringup/graph.py. Only plain launch features are used: everything in here resolves with
`ros2 launch` and with play_launch alike.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from clad_bringup.graph import ROBOT_ARGUMENTS, robot_graph
from launch import LaunchDescription


def _nodes(context):
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ROBOT_ARGUMENTS}
    return [
        Node(
            package=spec.package,
            executable=spec.executable,
            name=spec.name,
            parameters=[spec.parameters],
            remappings=list(spec.remappings),
            output="screen",
            # the runner's end is the ordinary end; without any other node the rest is of no use
            on_exit=Shutdown(),
        )
        for spec in robot_graph(values)
    ]


def generate_launch_description():
    declared = []
    for argument in ROBOT_ARGUMENTS:
        choices = {"choices": list(argument.choices)} if argument.choices else {}
        declared.append(
            DeclareLaunchArgument(
                argument.name, default_value=argument.default, description=argument.description, **choices
            )
        )
    return LaunchDescription([*declared, OpaqueFunction(function=_nodes)])
