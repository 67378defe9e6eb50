"""What differs between two cfgs."""
from runner.config.diagnostics import Report
from runner.config.grammar import parse


def differences(before: str, now: str) -> list[str]:
    """The differences between two cfgs, as text: "[net] batch was 4, now 8"."""
    old, new = (parse(text, "", Report()) for text in (before, now))
    if [section.name for section in old] != [section.name for section in new]:
        return ["the cfg has different layers"]
    changes = []
    for a, b in zip(old, new, strict=True):
        name = f"[{a.name}]" if a.index < 0 else f"layer {a.index} [{a.name}]"
        for key in {**a.lines, **b.lines}:
            value, new_value = (section.lines[key].value if key in section.lines else "not set" for section in (a, b))
            if value != new_value:
                changes.append(f"{name} {key} was {value}, now {new_value}")
    return changes
