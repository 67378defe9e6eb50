"""Detection heads, and the consumers of each output."""
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from runner.config import Report, Section
from runner.errors import counted
from runner.layers import LAYERS, Batchnorm, Convolutional, Dropout, Logistic, Shortcut, Yolo
from runner.layers.convolutional import NOT_SHARED
from runner.layers.shared.base import Env, Head, Layer
from runner.layers.shared.heads import DetectionHead
from runner.layers.shared.recurrent import Recurrent
from runner.net_options import NetOptions
from runner.network_checks.net import check_use, listed
from runner.network_checks.sizes import Placed, check_sizes, deepest_stride, multiples, size_text, strides_of
from runner.network_checks.use import activation_of

UNCHANGED = ("dropout", "empty", "shift_channels", "control_channels")  # their first input means the same behind them
YOLOR_SECTIONS = ("implicit_add", "implicit_mul", "shift_channels", "control_channels", "alternate_channels")


def check_network(net: NetOptions | None, sections: Sequence[Section], stack: Sequence[Placed], env: Env,
                  report: Report) -> None:
    """Check all sections together; sections[0] is [net], and `net` its options, None if they are invalid."""
    heads = [(place.section, options) for place in stack if (options := _head_options(place.section)) is not None]
    for section, options in heads:
        _check_anchors(section, options, heads, report)
        if getattr(options, "jitter", 0) >= .5:
            report.warn(f"{section.where('jitter')} jitter={options.jitter:g} may crop the whole image away: it is a "
                        "fraction of each side, cut off at both ends")
    _check_classes(heads, report)
    _check_dialect(sections, heads, env, report)
    for index, place in enumerate(stack):
        if isinstance(place.layer, DetectionHead | Logistic):
            _check_activation(index, stack, env, report)
    if report.errors or net is None:
        return      # what follows needs all layers
    _check_readers(stack, env, report)
    _check_anchor_order(stack, report)
    _check_learning_rates(stack, report)
    for place in stack:
        parts = (place.layer, *place.layer.children.values()) if place.layer is not None else ()
        if said := next((part.remark for part in parts if part.remark), ""):
            report.warn(f"{place.section.where('size')} layer {place.section.index}: {said}")
        if place.layer is not None and place.layer.options.burnin_update and not net.burn_in:
            report.warn(f"{place.section.where('burnin_update')} burnin_update has no effect without burn_in= in [net]")
    if net.time_steps > 1 and not any(isinstance(place.layer, Recurrent) for place in stack):
        report.warn(f"{sections[0].where('time_steps')} time_steps={net.time_steps} multiplies the batch, and no layer "
                    "here is recurrent")
    check_sizes(net, sections[0], stack, env, report)
    if len(env.in_shape) == 3:
        check_use(net, sections[0], bool(heads), report)
    for index, place in enumerate(stack):
        if isinstance(place.layer, Dropout) and place.layer.probability == 1:
            report.warn(f"{place.section.where('probability')} probability=1 zeroes every value: no layer before layer "
                        f"{index} learns anything")
    if not heads:
        _check_crop(net, sections[0], report)


def _check_learning_rates(stack: Sequence[Placed], report: Report) -> None:
    """learning_rate= of layers without weights: an error if --set has it and no layer that it changes has weights; in a
    cfg, where darknet ignores it too, a warning."""
    settings: dict[str, list[Placed]] = {}      # the place of a line -> the layers that have it: --set may name several
    for place in stack:
        line = place.section.lines.get("learning_rate")
        if line is not None and place.layer is not None:
            settings.setdefault(line.place, []).append(place)
    for line_place, places in settings.items():
        if any(place.layer.specs and not _shares(place.layer) for place in places if place.layer):
            continue
        numbers = [str(place.section.index) for place in places]
        which = f"layer {numbers[0]} has" if len(numbers) == 1 else \
            f"layers {', '.join(numbers[:-1])} and {numbers[-1]} have"
        shared = all(_shares(place.layer) for place in places)
        why = f"{which} the weights of another layer (share_index), whose learning_rate counts" if shared else \
            f"{which} no weights" + (" of their own" if any(_shares(place.layer) for place in places) else "")
        says = f"{places[0].section.where('learning_rate')} learning_rate has no effect: {why}"
        if line_place.startswith("--set "):
            report.error(says)
        elif any(place.layer.options.learning_rate != 1 for place in places if place.layer):
            report.warn(says)


def _shares(layer: Layer | None) -> bool:
    """Whether its weights are those of an earlier layer, by share_index."""
    return isinstance(layer, Convolutional) and layer.options.share_index != NOT_SHARED


def _head_options(section: Section) -> Any:
    """The options of a detection head, even if it could not be built; None for any other section."""
    kind = LAYERS.get(section.name)
    return kind.Options.parse(section, Report()) if kind and issubclass(kind, DetectionHead) else None


def _check_anchors(section: Section, o: Any, heads: Sequence[tuple[Section, Any]], report: Report) -> None:
    """anchors=, num= and mask= of a head. Where a mask names anchors beyond num= that are all listed, num= is what is
    wrong: darknet reads beyond its array there, and both forks ship such a cfg (cspx-p7-mish)."""
    if not hasattr(o, "anchors"):
        return
    given, mask = len(o.anchors), getattr(o, "mask", ())
    if not given:
        report.warn(f"{section.where()} anchors are left out: all {o.num} are 0.5 x 0.5, as in darknet")
    elif given % 2:
        report.error(f"{section.where('anchors')} anchors must be pairs of width and height. Got "
                     f"{counted(given, 'number')}")
    elif given > 2 * o.num and o.num <= (most := _largest_index(o, heads)) < given // 2:
        report.warn(f"{section.where('num')} num={o.num}, and anchors has {given // 2} pairs, which mask= names up to "
                    f"{most}: num={given // 2} is meant, and all {given // 2} are used; darknet reads beyond its array")
    elif given != 2 * o.num:
        report.error(f"{section.where('anchors')} anchors must be {counted(o.num, 'pair')} of width and height, as "
                     f"num={o.num} says. Got {given // 2} (num={given // 2}?)")
    elif min(o.anchors) <= 0:
        report.error(f"{section.where('anchors')} the sides of an anchor must be greater than 0. Got "
                     f"{min(o.anchors):g}")
    twice = sorted(number for number, count in Counter(mask).items() if count > 1)
    if twice:
        report.warn(f"{section.where('mask')} mask names anchor {listed(twice)} more than once: of equal anchors only "
                    "the first learns")


def _largest_index(o: Any, heads: Sequence[tuple[Section, Any]]) -> int:
    """The largest mask= of the heads with the anchors and num= of `o`; -1 without mask=."""
    return max((max(head.mask) for _, head in heads
                if getattr(head, "mask", ()) and (head.anchors, head.num) == (o.anchors, o.num)), default=-1)


def _check_classes(heads: Sequence[tuple[Section, Any]], report: Report) -> None:
    """All heads must have the same classes."""
    for section, options in heads[1:]:
        first, wanted = heads[0][0], heads[0][1].classes
        if options.classes != wanted:
            report.error(f"{section.where('classes')} classes={options.classes}, and classes={wanted} in "
                         f"{first.where('classes')}: the heads of a network must have the same classes")


def _check_dialect(sections: Sequence[Section], heads: Sequence[tuple[Section, Any]], env: Env,
                   report: Report) -> None:
    """Signs of the PyTorch forks, whose [yolo] ignores its options and decodes boxes differently from darknet."""
    if env.compat.yolo_decoding == "yolor" or not any(hasattr(o, "new_coords") and not o.new_coords for _, o in heads):
        return
    for section in sections[1:]:
        silu = "activation" in section.lines and section.lines["activation"].value.lower() == "silu"
        if silu or section.name in YOLOR_SECTIONS:
            sign = f"{section.where('activation')} activation=silu is" if silu else \
                f"{section.where()} these sections are"
            report.warn(f"{sign} of the YOLOR forks, whose heads decode boxes by another formula: for weights trained "
                        "there, add --compat yolor")
            return


def _check_activation(index: int, stack: Sequence[Placed], env: Env, report: Report) -> None:
    """A head expects raw values; with new_coords=1, the output of a logistic activation."""
    section, head = stack[index].section, stack[index].layer
    if head is None:
        return
    activated = getattr(head.options, "new_coords", False) and env.compat.yolo_decoding != "yolor"
    for maker in _makers(index, stack):
        activation, place = activation_of(stack[maker].layer), stack[maker].section
        name = f"layer {maker} [{place.name}]"
        if activation is None:
            if activated and isinstance(stack[maker].layer, Batchnorm):
                report.warn(f"{section.where('new_coords')} new_coords=1 wants values of 0 to 1, as of "
                            f"activation=logistic, and {name} makes others of them ({place.where()})")
        elif activated:
            if activation != "logistic":
                report.warn(f"{section.where('new_coords')} new_coords=1 wants activation=logistic in {name}; it is "
                            f"{activation} ({place.where('activation')})"
                            + (", as in PyTorch's cfgs: --compat yolor" if activation == "linear" else ""))
        elif activation != "linear":
            default = "" if "activation" in place.lines else ", the default,"
            report.warn(f"{place.where('activation')} activation={activation}{default} in {name}, and layer {index} "
                        f"[{section.name}] wants raw values: activation=linear")


def _makers(index: int, stack: Sequence[Placed]) -> list[int]:
    """The layers that compute the first input of layer `index`, or parts of it, skipping layers that do not change its
    meaning."""
    makers: list[int] = []
    pending = list(stack[index].links[:1])
    while pending:
        link = pending.pop()
        layer = stack[link].layer if link >= 0 else None
        if layer is None or link in makers:
            continue
        if layer.names[0] == "route":
            pending += stack[link].links
        elif layer.names[0] in UNCHANGED:
            pending += stack[link].links[:1]
        else:
            makers.append(link)
    return sorted(makers)


def _check_anchor_order(stack: Sequence[Placed], report: Report) -> None:
    """A coarser grid must have larger anchors."""
    heads = [(index, layer) for index, (_, layer, _) in enumerate(stack) if isinstance(layer, Yolo)]
    for (a, fine), (b, coarse) in itertools.permutations(heads, 2):
        small, large = (math.prod(head.anchors[list(head.options.mask)].mean(axis=0)) for head in (fine, coarse))
        if math.prod(fine.grid) > math.prod(coarse.grid) and small > large:
            sizes = [f"{head.grid[1]} x {head.grid[0]}" for head in (fine, coarse)]
            report.warn(f"{stack[a].section.where('mask')} layer {a} has {sizes[0]} cells, and larger anchors than "
                        f"layer {b} with {sizes[1]}: are the masks swapped?")


def _check_readers(stack: Sequence[Placed], env: Env, report: Report) -> None:
    """A wrong index in layers= or from= leaves an output without a consumer, reads boxes as if they were features, or
    adds images of different sizes."""
    read = {link for place in stack for link in place.links}
    for index, (section, layer, links) in enumerate(stack):
        if index not in read and index < len(stack) - 1 and not isinstance(layer, Head):
            report.warn(f"{section.where()} no layer reads the output of layer {index}: it is computed for nothing")
        boxes = [link for link in links if link >= 0 and isinstance(stack[link].layer, DetectionHead)]
        if boxes:
            report.warn(f"{section.where('layers' if 'layers' in section.lines else 'from')} layer {index} reads layer "
                        f"{boxes[0]} [{stack[boxes[0]].section.name}], which holds boxes: is the index right?")
        if isinstance(layer, Shortcut) and len(env.in_shape) == 3 and len({shape[1:] for shape in layer.in_shapes}) > 1:
            strides = strides_of(stack, env)      # those that differ are pjreddie's ResNets: a row and column of two
            if len({strides.get(link) for link in links}) == 1:
                sizes = " and ".join(map(size_text, layer.in_shapes))
                report.warn(f"{section.where('from')} layer {index} adds images of {sizes}, where both have pixels: "
                            f"{multiples(deepest_stride(stack, links, strides), env.in_shape)}")


def _check_crop(o: NetOptions, section: Section, report: Report) -> None:
    """The sizes a classifier's images are scaled to before they are cropped."""
    side = max(o.width, o.height)
    least, most = o.min_crop or side, o.max_crop or side
    if least > most and len(o.in_shape()) == 3:
        default = "" if "min_crop" in section.lines else ", the width of the network"
        line = section.where("max_crop" if "max_crop" in section.lines else "min_crop")
        report.warn(f"{line} max_crop={most} is below min_crop={least}{default}: images are "
                    f"scaled to {most} to {least} pixels, as in darknet")
