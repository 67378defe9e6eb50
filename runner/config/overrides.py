"""`--set section.option=value`: change a cfg for one run without editing it."""
from collections.abc import Iterable, Mapping

from runner.config.diagnostics import Report
from runner.config.grammar import Line, Section
from runner.errors import did_you_mean


def override(sections: list[Section], settings: Iterable[str], aliases: Mapping[str, str], report: Report) -> None:
    """Apply settings to `sections`.

    A setting names `net`, the index of a layer (`5.probability=0.3`), or a section's name, which changes every
    section of that name (`dropout.probability=0`).  `aliases` maps each section name to the canonical one.
    """
    for setting in settings:
        place = f"--set {setting}"
        target, equals, value = setting.partition("=")
        name, dot, key = target.strip().partition(".")
        name, key, value = name.strip(), key.strip(), value.strip()
        if not (equals and dot and name and key and value):
            report.error(f"{place}: expected SECTION.OPTION=VALUE, for instance net.batch=32 or 5.probability=0.3")
            continue
        chosen = _choose(sections, name, aliases)
        if not chosen:
            layers = len(sections) - 1
            known = sorted({s.name for s in sections})
            what = (f"layers are numbered 0 to {layers - 1}" if _is_number(name.lstrip("-"))
                    else f"the cfg has no section [{name}]{did_you_mean(name, known)}")
            report.error(f"{place}: {what}")
        for section in chosen:
            section.lines[key] = Line(place, value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _choose(sections: list[Section], name: str, aliases: Mapping[str, str]) -> list[Section]:
    if _is_number(name):
        index = int(name) if len(name) < 10 else len(sections)
        return sections[1:][index:index + 1]
    canonical = aliases.get(name, name)
    return [s for s in sections if aliases.get(s.name, s.name) == canonical]
