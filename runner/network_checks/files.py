"""Files that the sections of a cfg name, which are read when training or detecting starts."""
import os
from collections.abc import Sequence
from pathlib import Path

from runner.config import Section
from runner.errors import RunnerError
from runner.layers import Region
from runner.layers.shared.base import Layer
from runner.layers.shared.heads import DetectionHead


def file_problems(sections: Sequence[Section], layers: Sequence[Layer]) -> list[str]:
    """What is wrong with the files that tree= and map= of detection heads name.  `sections` are those of `layers`."""
    found = []
    for section, layer in zip(sections, layers, strict=True):
        if not isinstance(layer, DetectionHead):
            continue
        for option in ("tree", "map"):
            name = getattr(layer.options, option, "")
            if not name:
                continue
            if not any(os.path.isfile(folder / name) for folder in (Path(layer.env.folder), Path())):
                found.append(f"{section.where(option)} {option}={name} is neither in the folder of the cfg nor in the "
                             "working directory: training and detecting need it")
                continue
            try:
                if option == "map":
                    layer.class_map     # noqa: B018  (read on first use)
                elif isinstance(layer, Region):
                    layer.tree          # noqa: B018
            except RunnerError as error:
                found.append(f"{section.where(option)} {error}")
    return found
