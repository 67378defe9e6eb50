"""Generate text with a trained character model: it reads the seed text and continues it, character by character.

  python run.py generate cfg/chars.cfg
  python run.py generate cfg/chars.cfg --seed-text "MENENIUS:" --temperature .7 --length 500
  python run.py generate cfg/chars.cfg --seed 3 --json -
"""
import argparse
import codecs
import sys

from runner.cli import common, console, runs


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    common.weights_option(parser)
    parser.add_argument("--seed-text", default="\n\n", metavar="TEXT",
                        help="the text to continue (default: two newlines)")
    parser.add_argument("--temperature", type=common.above_zero, default=0.7, metavar="T",
                        help="softmax temperature: below 1 favours probable characters, above 1 makes the text more "
                             "random (default 0.7)")
    parser.add_argument("--length", type=common.natural, default=500, metavar="N",
                        help="number of characters to generate (default 500)")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.errors import UsageError
    from runner.inference.generate import generate, is_character_model
    net, _ = runs.load_trained(args, ["net.time_steps=1"])      # one character at a time
    if not is_character_model(net):
        raise UsageError(f"{args.cfg}: not a character model: it needs inputs= in [net], a recurrent layer, and "
                         "a softmax with as many outputs as inputs")
    seed_text = args.seed_text.encode()
    characters = generate(net, seed_text, args.length, temperature=args.temperature,
                          rng=np.random.default_rng(args.seed))
    if args.json:
        console.write_json(args.json, {"seed_text": args.seed_text, "temperature": args.temperature,
                                       "text": bytes(characters).decode(errors="replace")})
        return 0
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    show = console.escaped if sys.stdout.isatty() else str       # a file gets the text as it is
    sys.stdout.write(show(args.seed_text))
    for character in characters:
        sys.stdout.write(show(decoder.decode(bytes([character]))))
        sys.stdout.flush()
    console.say(decoder.decode(b"", final=True))
    return 0
