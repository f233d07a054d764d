from setuptools import find_packages, setup

PACKAGE = "clad_sim_bridge"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Sim bridge node: LIBERO behind the topics, units and frames of a real arm.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["sim_bridge_node = clad_sim_bridge.node:main"]},
)
