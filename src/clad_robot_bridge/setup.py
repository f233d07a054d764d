from setuptools import find_packages, setup

PACKAGE = "clad_robot_bridge"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Robot bridge node: the driver of a real arm behind the topics, units and frames that the simulator has.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["robot_bridge_node = clad_robot_bridge.node:main"]},
)
