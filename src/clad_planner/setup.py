from setuptools import find_packages, setup

PACKAGE = "clad_planner"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Planner node: observations and executed actions in, latent foresight out.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["planner_node = clad_planner.node:main"]},
)
