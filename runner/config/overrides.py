"""`--set section.option=value`: change a cfg for one run without editing it."""
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field

from runner.config.diagnostics import Report
from runner.config.grammar import Line, Section
from runner.errors import closest, did_you_mean
from runner.program import command
from runner.reading.numbers import is_whole, whole

Declared = Callable[[str], Mapping[str, Field]]     # the name of a section -> its options; empty: not known


def override(sections: list[Section], settings: Iterable[str], aliases: Mapping[str, str], report: Report,
             declared: Declared | None = None) -> None:
    """Apply settings to `sections`.

    A setting names `net`, the index of a layer (`5.probability=0.3`), or a section's name, which changes every
    section of that name (`dropout.probability=0`).  `aliases` maps each section name to the canonical one.  A setting
    without effect is an error: of an option that the section does not have, or that is ignored.
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
        problem = _without_effect(sections, chosen[0], name, key, declared) if declared and chosen else ""
        if problem:
            report.error(f"{place}: {problem}")
            continue
        for section in chosen:
            section.lines[key] = Line(place, value)


def _without_effect(sections: list[Section], section: Section, name: str, key: str, declared: Declared) -> str:
    """Why a setting of this section would change nothing; "" where it has an effect."""
    known = declared(section.name)
    if not known:
        return ""           # an unknown section, which is an error of its own
    which = f"layer {name} is [{section.name}], which" if _is_number(name) else f"[{section.name}]"
    if key in known:
        reason = known[key].metadata["reason"]
        return f"{key} of [{section.name}] has no effect here: {reason}" if reason else ""
    near = closest(key, known, 0.75)
    if near:
        return f"{which} has no option {key!r} (did you mean {name}.{near}?)"
    # the option of another section of the cfg, the nearest to the one that is named
    others = sorted((other for other in sections if key in declared(other.name)),
                    key=lambda other: abs(other.index - section.index))
    if others:
        other = others[0]
        meant = f"{other.index}.{key}, of [{other.name}]" if _is_number(name) and other.index >= 0 else \
            f"{other.name}.{key}"
        return f"{which} has no option {key!r} (did you mean {meant}?)"
    return f"{which} has no option {key!r}. `{command('explain', section.name)}` lists its options"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _choose(sections: list[Section], name: str, aliases: Mapping[str, str]) -> list[Section]:
    if _is_number(name):
        index = whole(name) if is_whole(name) else len(sections)
        return sections[1:][index:index + 1]
    canonical = aliases.get(name, name)
    return [s for s in sections if aliases.get(s.name, s.name) == canonical]
