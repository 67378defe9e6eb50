"""Options of [net] that must agree with each other."""
import math
from collections.abc import Sequence

from runner.config import Report, Section
from runner.errors import counted
from runner.layers.shared.base import MOST_VALUES, shape_text
from runner.net_options import NetOptions

OF_CLASSIFIERS = ("min_crop", "max_crop", "angle", "aspect", "balance", "label_smooth_eps")
OF_DETECTORS = ("letter_box", "gaussian_noise", "mosaic_bound", "resize_step")


def check_net(options: NetOptions, section: Section, report: Report) -> None:
    """Check the options of [net]."""
    warn = report.warn_training
    _check_input(options, section, report)
    _check_policy(options, section, report)
    _check_length(options, section, report)
    if not options.learning_rate:
        warn(f"{section.where('learning_rate')} learning_rate=0: training changes no weight")
    if options.adam and options.optimizer != "sgd":
        report.error(f"{section.where('optimizer')} adam=1 and optimizer={options.optimizer} are two update rules: "
                     "leave one of them out")
    if options.batch % options.subdivisions:
        images = max(options.batch // options.subdivisions, 1) * options.subdivisions
        what = "is less than" if options.batch < options.subdivisions else "is not a multiple of"
        warn(f"{section.where('subdivisions')} batch={options.batch} {what} "
             f"subdivisions={options.subdivisions}: an update sees "
             f"{counted(images, 'sequence' if options.time_steps > 1 else 'image')}, as in darknet")


def _check_input(o: NetOptions, section: Section, report: Report) -> None:
    shape = o.in_shape()
    if not all(shape):
        report.error(f"{section.where()} needs width, height and channels (or inputs, where the input is not an image)")
    elif len(shape) == 3 and o.inputs != math.prod(shape):
        report.error(f"{section.where('inputs')} inputs={o.inputs}, and width x height x channels is "
                     f"{o.width} x {o.height} x {o.channels} = {math.prod(shape)}: leave inputs out for images, or the "
                     "other three for values")
    elif math.prod(shape) > MOST_VALUES:
        report.error(f"{section.where()} an input of {shape_text(shape)} has more than {MOST_VALUES:,} values")


def _check_policy(o: NetOptions, section: Section, report: Report) -> None:
    warn = report.warn_training
    if o.policy == "steps" and not o.steps:
        report.error(f"{section.where('policy')} policy=steps needs steps= and scales=, a list of updates and one of "
                     "factors")
    elif o.policy == "steps" and len(o.steps) != len(o.scales):
        report.error(f"{section.where('scales')} scales must have as many numbers as steps: {len(o.steps)}. "
                     f"Got {len(o.scales)}")
    elif o.policy == "steps" and list(o.steps) != sorted(o.steps):
        warn(f"{section.where('steps')} steps={listed(o.steps)} do not ascend: a step that follows a later one "
             "is taken together with it")
    for option, policies in (("steps", ("steps",)), ("scales", ("steps",)), ("step", ("step", "sigmoid")),
                             ("scale", ("step",)), ("gamma", ("exp", "sigmoid")), ("sgdr_cycle", ("sgdr",))):
        if option in section.lines and o.policy not in policies:
            warn(f"{section.where(option)} {option} has no effect with policy={o.policy}: it belongs to policy="
                 f"{' and '.join(policies)}")
    if o.policy == "step" and "scale" not in section.lines:
        warn(f"{section.where('policy')} policy=step changes nothing without scale=")
    if o.policy == "exp" and "gamma" not in section.lines:
        warn(f"{section.where('policy')} policy=exp changes nothing without gamma=")
    if o.policy == "exp" and o.gamma > 1:
        warn(f"{section.where('gamma')} gamma={o.gamma:g} multiplies the learning rate at every update: it "
             "grows without end")
    if o.policy == "sgdr" and o.learning_rate_min > o.learning_rate:
        warn(f"{section.where('learning_rate_min')} learning_rate_min={o.learning_rate_min:g} is above "
             f"learning_rate={o.learning_rate:g}: the rate rises in every cycle")
    if o.policy == "poly" and not o.max_batches:
        warn(f"{section.where('policy')} policy=poly lowers the rate to 0 at max_batches=: without it the rate "
             "does not change")
    early = [step for step in o.steps if 0 < step < o.burn_in] if o.policy == "steps" else []
    if early:
        warn(f"{section.where('burn_in')} burn_in={o.burn_in} ends after steps={listed(early)}: the rate jumps "
             "there")


def _check_length(o: NetOptions, section: Section, report: Report) -> None:
    """Updates that max_batches does not reach: it is often the only option that is edited."""
    warn = report.warn_training
    end = o.max_batches
    if not end:
        return
    late = [step for step in o.steps if step >= end] if o.policy == "steps" else []
    if late:
        warn(f"{section.where('steps')} steps={listed(late)} will not be reached: training ends at "
             f"max_batches={end}, so the learning rate does not change there")
    if o.policy == "step" and o.step >= end:
        warn(f"{section.where('step')} step={o.step} will not be reached: training ends at max_batches={end}, "
             "so the learning rate does not change")
    if o.policy == "sgdr" and (last := _last_cycle(o)) != end:
        later = last != o.sgdr_cycle
        warn(f"{section.where('sgdr_cycle')} sgdr_cycle={o.sgdr_cycle}"
             f"{f', sgdr_mult={o.sgdr_mult}: the cycle up to update {last}' if later else ''} is not over when "
             f"training ends at max_batches={end}")
    if o.burn_in > end:
        rate = o.learning_rate * (end / o.burn_in) ** o.power
        warn(f"{section.where('burn_in')} burn_in={o.burn_in} is not over when training ends at "
             f"max_batches={end}: the learning rate rises only to {rate:.2g}, not to {o.learning_rate:g}")


def _last_cycle(o: NetOptions) -> int:
    """The update at which the cycle of policy sgdr ends that max_batches falls in."""
    ends = cycle = o.sgdr_cycle or o.max_batches
    if o.sgdr_mult == 1:
        return -(-o.max_batches // cycle) * cycle
    while ends < o.max_batches:
        cycle *= o.sgdr_mult
        ends += cycle
    return ends


def check_use(o: NetOptions, section: Section, detector: bool, report: Report) -> None:
    """Options that only detectors, or only classifiers, read."""
    ignored, whose = (OF_CLASSIFIERS, "classifiers") if detector else (OF_DETECTORS, "detectors")
    neutral = NetOptions.make("[net]", width=o.width, height=o.height)
    for name in ignored:
        if name in section.lines and getattr(o, name) != getattr(neutral, name):
            report.warn(f"{section.where(name)} {name} has no effect here: it is for {whose}, and this network "
                        f"{'has' if detector else 'has no'} detection heads")


def listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" if isinstance(number, float) else str(number) for number in numbers)
