"""A graph as a LaunchDescription: what sim.launch.py and robot.launch.py have in common.

Only plain launch features are used: everything in here resolves with `ros2 launch` and with play_launch alike.
"""

from collections.abc import Callable, Mapping, Sequence

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from clad_bringup.graph import Argument, NodeSpec
from launch import LaunchDescription


def describe(
    arguments: Sequence[Argument], graph: Callable[[Mapping[str, str]], Sequence[NodeSpec]]
) -> LaunchDescription:
    """The nodes that `graph` names for the values of these launch arguments."""

    def nodes(context):
        values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments}
        return [
            Node(
                package=spec.package,
                executable=spec.executable,
                name=spec.name,
                parameters=[spec.parameters],
                remappings=list(spec.remappings),
                ros_arguments=["--enclave", spec.enclave] if spec.enclave else [],
                additional_env=spec.environment,
                output="screen",
                # the runner's end is the ordinary end; without any other node the rest is of no use
                on_exit=Shutdown(),
            )
            for spec in graph(values)
        ]

    declared = []
    for argument in arguments:
        choices = {"choices": list(argument.choices)} if argument.choices else {}
        declared.append(
            DeclareLaunchArgument(
                argument.name, default_value=argument.default, description=argument.description, **choices
            )
        )
    return LaunchDescription([*declared, OpaqueFunction(function=nodes)])
