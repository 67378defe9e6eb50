"""Character models small enough to train in a moment."""
from pathlib import Path

import runner


def model(tmp_path: Path, net: str = "", layer: str = "lstm", symbols: int = 4, **more: object) -> runner.Model:
    """A recurrent layer of 16 values and a softmax over `symbols`; net: more lines of [net]."""
    cfg = tmp_path / "m.cfg"
    cfg.write_text(f"[net]\ninputs={symbols}\nbatch=3\ntime_steps=5\n{net}\n[{layer}]\noutput=16\n"
                   f"[connected]\noutput={symbols}\nactivation=linear\n[softmax]\n")
    return runner.load(cfg, **more)     # type: ignore[arg-type]
