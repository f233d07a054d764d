from setuptools import find_packages, setup

PACKAGE = "clad_viewer"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="A live page for a running graph: subscribes, draws, publishes nothing.",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    packages=find_packages(exclude=["test", "test.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["viewer_node = clad_viewer.node:main"]},
)
