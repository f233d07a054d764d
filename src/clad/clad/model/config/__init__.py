"""Typed configuration of both stages.

A configuration is a preset's name (presets.py) or a YAML file, changed by named variants (model/variants.py) and by
`--set section.key=value` (load.py). Its sections say what each setting means (sections.py). Unknown keys are refused
with the nearest valid ones named.
"""

from clad.model.config.load import from_dict, load_config, merge
from clad.model.config.presets import PRESETS
from clad.model.config.sections import (
    ATTENTIONS,
    DENOISERS,
    FORESIGHTS,
    Config,
    DataConfig,
    Dims,
    OptimConfig,
    PlannerConfig,
    PolicyConfig,
)

__all__ = [
    "ATTENTIONS",
    "DENOISERS",
    "FORESIGHTS",
    "PRESETS",
    "Config",
    "DataConfig",
    "Dims",
    "OptimConfig",
    "PlannerConfig",
    "PolicyConfig",
    "from_dict",
    "load_config",
    "merge",
]
