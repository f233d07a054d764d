from setuptools import find_packages, setup

PACKAGE = "clad_manager"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Lifecycle manager: brings the nodes up in order, hears their heartbeats, acts when one is lost.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["manager_node = clad_manager.node:main"]},
)
