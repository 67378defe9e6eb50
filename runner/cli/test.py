"""Measure a trained network on the test images of its data: accuracy, top-k, per class, confusion matrix.

  python run.py test cfg/net.cfg
  python run.py test cfg/net.cfg --weights other.weights --data photos/ --json -
  python run.py test cfg/chars.cfg --data novel.txt        a character model: bits per character
"""
import argparse

from runner.cli import common, console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.weights_option(parser)
    common.data_options(parser)
    parser.add_argument("--split", choices=("test", "train"), default="test", help="which images (default test)")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.errors import DataError
    from runner.training import evaluate
    net, _ = common.load_trained(args)
    from runner.characters import is_character_model
    if is_character_model(net):
        from runner.cli import train_characters
        return train_characters.measure(args, net)
    data = common.open_data(args, net)
    split = getattr(data, args.split)
    if split is None:
        other = "train" if args.split == "test" else "test"
        raise DataError(f"{data.source} has no {args.split} images; --split {other} measures the others")
    with common.evaluation_batches(args, net, split) as batches:
        metrics = evaluate(net, batches)
    if args.json:
        names = [name if data.names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(data.names)]
        per_class = dict(zip(names, metrics.per_class(), strict=True))
        console.write_json(args.json, {"images": metrics.images, "top1": metrics.top1, "top5": metrics.top5,
                                       "loss": metrics.loss, "per_class": per_class,
                                       "confusion": metrics.confusion.tolist()})
    if args.json != "-":
        report(metrics, data.names)
    return 0


def report(metrics: object, names: list[str]) -> None:
    """The tables of `test`."""
    from runner.training import Metrics
    assert isinstance(metrics, Metrics)
    wrong = metrics.images - round(metrics.top1 * metrics.images)
    console.say(f"{metrics.images} images, accuracy {100 * metrics.top1:.2f} % ({wrong} wrong), "
                f"top 5 {100 * metrics.top5:.2f} %, loss {metrics.loss:.4f}\n")
    rows = [("class", "images", "precision", "recall", "F1")]
    rows += [(name, str(row["images"]), f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}")
             for name, row in zip(names, metrics.per_class(), strict=True)]
    console.say(console.table(rows))
    if len(names) > 30:
        return      # wider than any terminal; --json has it
    console.say("\nconfusion: a row is what it is, a column what it was taken for")
    cells = [("", *(name[:8] for name in names))]
    cells += [(name, *(str(n) if n else "." for n in row)) for name, row in zip(names, metrics.confusion, strict=True)]
    console.say(console.table(cells))
