from glob import glob

from setuptools import setup

PACKAGE = "clad_bringup"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Which nodes run, with which parameters, and two ways to start them.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", glob("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", glob("config/*.yaml")),
        (f"share/{PACKAGE}/layouts", glob("layouts/clad.*")),
    ],
    install_requires=["setuptools"],
)
