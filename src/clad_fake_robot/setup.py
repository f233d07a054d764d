from setuptools import find_packages, setup

PACKAGE = "clad_fake_robot"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="A simulated UR5e behind the topics of a ros2_control driver, with cameras; and the same arm without physics.",
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
            "fake_robot_node = clad_fake_robot.fake:main",
            "loopback_robot_node = clad_fake_robot.loopback:main",
        ]
    },
)
