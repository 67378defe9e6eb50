"""What a training run leaves behind: weights/<cfg name>/ with best.weights, last.weights and run.yaml."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from runner import weights
from runner.errors import WeightsError
from runner.files import atomic_write
from runner.network import Network


class RunFolder:
    """The folder of a cfg's runs.  run.yaml says how the weights came about and names their classes."""

    def __init__(self, cfg: str | Path, base: str | Path = "weights"):
        self.cfg = Path(cfg)
        self.path = Path(base) / self.cfg.stem

    @property
    def best(self) -> Path:
        return self.path / "best.weights"

    @property
    def last(self) -> Path:
        return self.path / "last.weights"

    def save(self, net: Network, which: Path) -> None:
        weights.save(net, which)

    def holds(self, path: str | Path | None) -> bool:
        """Is the file one of this folder's?"""
        return path is not None and Path(path).resolve().parent == self.path.resolve()

    def describe(self, **facts: Any) -> None:
        """Write run.yaml: cfg, data, seed, classes, results."""
        with atomic_write(self.path / "run.yaml", "w") as file:
            yaml.safe_dump(facts, file, sort_keys=False, allow_unicode=True)

    def facts(self) -> dict[str, Any]:
        """What run.yaml says; nothing when there is none."""
        return self._read(self.path / "run.yaml")

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}

    def names(self, weights: str | Path | None = None) -> Sequence[str]:
        """The classes the network was trained on, if that is known: from the run.yaml beside `weights`, else here."""
        beside = self._read(Path(weights).parent / "run.yaml") if weights else {}
        return [str(name) for name in (beside.get("classes") or self.facts().get("classes") or [])]

    def weights(self, given: str | None = None) -> Path:
        """The file to use: the one given, else best.weights, else last.weights."""
        if given:
            return Path(given)
        for path in (self.best, self.last):
            if path.exists():
                return path
        raise WeightsError(f"{self.best}: there are no weights yet. Train first (python run.py train {self.cfg}), "
                           "or name a file by --weights")
