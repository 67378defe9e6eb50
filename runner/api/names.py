"""Layers by name: `net.layers["convolutional3"]`.

The name of a layer is that of its section followed by its number, the one that `summary` shows and settings use
(`3.filters=8`).  Other names of the section (`conv3`) are understood too, and the section's name alone where the
network has only one such layer (`softmax`).
"""
from collections.abc import Iterator
from typing import SupportsIndex, overload

from runner.errors import UsageError, did_you_mean
from runner.layers.shared.base import Layer


class Layers(list[Layer]):
    """The layers of a network, in order: a list that also takes names."""

    @property
    def names(self) -> list[str]:
        """The name of each layer: "convolutional0", "maxpool1" ..."""
        return [f"{layer.names[0]}{index}" for index, layer in enumerate(self)]

    def index_of(self, name: str) -> int:
        """The number of the layer with this name.  UsageError, with the closest name, where there is none."""
        found = [index for index, layer in enumerate(self) if name in (f"{alias}{index}" for alias in layer.names)]
        found = found or [index for index, layer in enumerate(self) if name in layer.names]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"there are {len(found)} layers {name!r}: {', '.join(self.names[i] for i in found)}")
        raise UsageError(f"there is no layer {name!r}{did_you_mean(name, self.names)}")

    def items(self) -> Iterator[tuple[str, Layer]]:
        """The layers with their names."""
        return zip(self.names, self, strict=True)

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> Layer: ...

    @overload
    def __getitem__(self, key: slice) -> list[Layer]: ...

    def __getitem__(self, key: SupportsIndex | str | slice) -> Layer | list[Layer]:
        return super().__getitem__(self.index_of(key) if isinstance(key, str) else key)
