from setuptools import find_packages, setup

PACKAGE = "clad_faults"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Fault injection over real DDS: what the graph does when something breaks, measured in control periods.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
)
