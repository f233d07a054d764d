from setuptools import find_packages, setup

PACKAGE = "clad_recorder"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Recorder of the whole graph into rosbag2 MCAP, and the runner that takes it through episodes.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={
        "console_scripts": [
            "recorder_node = clad_recorder.node:main",
            "monitor_node = clad_recorder.monitor_node:main",
            "episode_runner_node = clad_recorder.runner_node:main",
        ]
    },
)
