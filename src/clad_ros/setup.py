from setuptools import find_packages, setup

PACKAGE = "clad_ros"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="What every node shares: conversions, topics and QoS, the lifecycle idiom, diagnostics, a worker thread.",
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
