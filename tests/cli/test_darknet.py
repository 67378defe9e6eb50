"""darknet's commands: the equivalent here, and that it runs."""
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import weights
from runner.cli import VERBS, _parser, darknet, main
from runner.model import Model

NET = "[net]\nwidth=4\nheight=4\nchannels=3\n[convolutional]\nfilters=2\nsize=3\n[connected]\noutput=2\n[softmax]\n"


@pytest.mark.parametrize("typed, here", [
    ("detector train x.data x.cfg", "run.py train x.cfg --data x.data"),
    ("detector train x.data x.cfg x_1000.weights -clear", "run.py train x.cfg --data x.data --weights x_1000.weights "
                                                          "--clear"),
    ("detector train x.data x.cfg yolov4.conv.137 -map -gpus 0,1 -dont_show",
     "run.py train x.cfg --data x.data --weights yolov4.conv.137 --cutoff 137"),
    ("detector -map train x.data -gpus 0,1 x.cfg", "run.py train x.cfg --data x.data"),
    ("darknet detector -map -dont_show train x.data x.cfg", "run.py train x.cfg --data x.data"),
    ("detector test x.cfg dog.jpg x.weights x.data",
     "run.py detect x.cfg dog.jpg --weights x.weights --save predictions"),
    ("detector tarin x.data x.cfg", None),
    ("detector test x.data x.cfg x.weights dog.jpg -thresh 0.4 -ext_output -letter_box -out o.json -save_labels",
     "run.py detect x.cfg dog.jpg --weights x.weights --thresh 0.4 --letterbox --json o.json --txt labels --save "
     "predictions"),
    ("detector test x.data x.cfg x.weights", "run.py detect x.cfg - --weights x.weights --save predictions"),
    ("detector map x.data x.cfg x.weights -iou_thresh .75 -points 101 -thresh .3",
     "run.py test x.cfg --data x.data --weights x.weights --thresh .3 --iou .75 --points 101"),
    ("detector recall x.data x.cfg x.weights", "run.py test x.cfg --data x.data --weights x.weights"),
    ("detector calc_anchors x.data -num_of_clusters 9 -width 608 -height 512 -show",
     "run.py anchors --data x.data --clusters 9 --width 608 --height 512 --save anchors.png"),
    ("detector calcanchors x.data", "run.py anchors --data x.data --clusters 5 --width 416 --height 416"),
    ("detector demo x.data x.cfg x.weights clip.mp4 -out_filename res.avi",
     "run.py detect x.cfg clip.mp4 --weights x.weights --save res"),
    ("detector demo x.data x.cfg x.weights -c 2", "run.py detect x.cfg camera:2 --weights x.weights"),
    ("detector demo x.data x.cfg x.weights -c 0", "run.py detect x.cfg camera --weights x.weights"),
    ("detect x.cfg x.weights dog.jpg", "run.py detect x.cfg dog.jpg --weights x.weights --save predictions"),
    ("detect x.cfg x.weights dog.jpg -thresh .5", "run.py detect x.cfg dog.jpg --weights x.weights --thresh .5 --save "
                                                  "predictions"),
    ("classifier train x.data x.cfg", "run.py train x.cfg --data x.data"),
    ("classifier predict x.data x.cfg x.weights 'my dog.jpg' -t 3",
     "run.py predict x.cfg 'my dog.jpg' --weights x.weights --top 3"),
    ("classifier valid x.data x.cfg x.weights", "run.py test x.cfg --data x.data --weights x.weights"),
    ("rnn train x.cfg -file a.txt", "run.py train x.cfg --data a.txt"),
    ("rnn generate x.cfg x.weights -len 500 -seed O -temp .8 -srand 3",
     "run.py generate x.cfg --weights x.weights --seed-text O --length 500 --temperature .8 --seed 3"),
    ("ops x.cfg", "run.py summary x.cfg"),
    ("partial x.cfg x.weights x.conv.15 15", "run.py weights partial x.cfg x.weights x.conv.15 15"),
    ("average x.cfg m.weights a.weights b.weights", "run.py weights average x.cfg m.weights a.weights b.weights"),
    ("statistics x.cfg x.weights", "run.py weights statistics x.cfg x.weights"),
        ("oneoff c.cfg c.weights d.weights", "run.py weights oneoff c.cfg c.weights d.weights"),
        ("oneoff2 c.cfg c.weights d.weights 9", "run.py weights oneoff2 c.cfg c.weights d.weights 9"),
    ("./darknet detector train x.data x.cfg", "run.py train x.cfg --data x.data"),
    ("-i 1 detector train x.data x.cfg", "run.py train x.cfg --data x.data"),
    ("detector train -dont_show x.cfg x.data", "run.py train x.cfg --data x.data"),
    ("detector train", "run.py train CFG --data DATA"),
])
def test_what_is_written_here(typed: str, here: str | None, capsys: pytest.CaptureFixture) -> None:
    assert main(shlex.split(typed)) == 2, "nothing was done"
    out, err = capsys.readouterr()
    if here is None:
        assert not out and "detector is one of train, test" in err
    else:
        assert out == f"python {here}\n"
        assert re.match("the equivalent of darknet's `[a-z0-9_ ]+`:\n", err)


def test_what_a_flag_becomes_or_why_it_becomes_nothing(capsys: pytest.CaptureFixture) -> None:
    main("detector train x.data x.cfg -map -mjpeg_port 8090 -frobnicate 3 -clear".split())
    out, err = capsys.readouterr()
    assert out == "python run.py train x.cfg --data x.data --clear\n"
    assert "-map: mAP is computed while training" in err and "-mjpeg_port: nothing is sent over a network" in err
    assert "-frobnicate: nothing here corresponds to it" in err


@pytest.mark.parametrize(("typed", "answer"), [
    ("clasifier train a.data a.cfg", "unknown verb 'clasifier' (did you mean darknet's 'classifier train'?)"),
    ("detectr trian a.data a.cfg", "unknown verb 'detectr' (did you mean darknet's 'detector train'?)"),
    ("Detector train a.data a.cfg", "unknown verb 'Detector' (did you mean darknet's 'detector train'?)"),
    ("clasify a.cfg a.weights", "unknown verb 'clasify' (did you mean darknet's 'classify'?)"),
    ("averge a.cfg a.weights b.weights", "unknown verb 'averge' (did you mean darknet's 'average'?)"),
    ("detekt a.cfg dog.jpg", "unknown verb 'detekt' (did you mean 'detect'?)"),
    ("Train a.cfg", "unknown verb 'Train' (did you mean 'train'?)"),
    ("detector trian a.data a.cfg", "Got 'trian' (did you mean 'train'?)"),
    ("detector mapp a.data a.cfg a.weights", "Got 'mapp' (did you mean 'map'?)"),
    ("rnn generat a.cfg", "Got 'generat' (did you mean 'generate'?)")])
def test_a_misspelt_command_is_answered_with_the_nearest(typed: str, answer: str,
                                                         capsys: pytest.CaptureFixture) -> None:
    assert main(typed.split()) == 2
    out, err = capsys.readouterr()
    assert not out and answer in err


def test_a_misspelt_flag_is_answered_with_the_nearest(capsys: pytest.CaptureFixture) -> None:
    main("detector test a.data a.cfg a.weights dog.jpg -tresh .3".split())
    assert "-tresh: nothing here corresponds to it (did you mean -thresh?)" in capsys.readouterr().err


def test_options_of_the_command_here_are_kept(capsys: pytest.CaptureFixture) -> None:
    main("detector train a.data a.cfg a.weights --set net.batch=3 --name=b --quiet".split())
    out, err = capsys.readouterr()
    assert out == "python run.py train a.cfg --data a.data --weights a.weights --set net.batch=3 --name=b --quiet\n"
    assert "nothing here corresponds" not in err


def test_resume_continues_with_the_weights_of_the_run(capsys: pytest.CaptureFixture) -> None:
    main("detector train a.data a.cfg a.conv.12 -clear --resume".split())
    out, err = capsys.readouterr()
    assert out == "python run.py train a.cfg --data a.data --resume\n", "train refuses --weights, --cutoff and --clear"
    assert "a.conv.12: omitted, since --resume" in err and "-clear: omitted" in err
    assert "-resume: nothing here" not in err


def test_the_files_a_data_file_names_are_filled_in(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "my.names").write_text("cat\n")
    (tmp_path / "my.data").write_text("# mine\nclasses = 1\nvalid = elsewhere/val.txt\nnames = my.names\nnames=b\n")
    main(["classifier", "test", str(tmp_path / "my.data"), "x.cfg", "x.weights"])
    assert capsys.readouterr().out == (f"python run.py predict x.cfg elsewhere/val.txt --weights x.weights --names "
                                       f"{tmp_path}/my.names --json results.json\n")


@pytest.mark.parametrize("line, form, remark", [("", "voc", ""), ("eval=coco", "coco", ""), ("eval = voc", "voc", ""),
                                                ("eval=kitti", "voc", "eval=kitti: files for this evaluator are not")])
def test_the_evaluator_of_a_data_file(line: str, form: str, remark: str, tmp_path: Path,
                                      capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "my.data").write_text(f"valid=val.txt\n{line}\n")
    main(["detector", "valid", str(tmp_path / "my.data"), "x.cfg", "x.weights"])
    said = capsys.readouterr()
    assert said.out == (f"python run.py test x.cfg --data {tmp_path}/my.data --weights x.weights --submit {form}\n")
    assert remark in said.err


def test_a_flag_without_its_value_is_said_and_left_out(capsys: pytest.CaptureFixture) -> None:
    assert main("detector test x.data x.cfg x.weights dog.jpg -thresh".split()) == 2
    out, err = capsys.readouterr()
    assert "--thresh" not in out
    assert "-thresh: the value after it is missing" in err


def test_a_data_file_that_does_not_exist_is_named(capsys: pytest.CaptureFixture) -> None:
    main("detector test none.data x.cfg x.weights dog.jpg".split())
    assert "none.data: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["fifteen", "1.5", "1); print('ran')#", "²"])
def test_the_count_of_partial_is_a_number_and_never_code(count: str, capfd: pytest.CaptureFixture) -> None:
    assert main(["partial", "x.cfg", "x.weights", "out.weights", count, "--run"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "N must be an integer, at least 0" in err


@pytest.mark.parametrize(("flag", "option"), [
    ("width", "--width"), ("num_of_clusters", "--clusters"), ("letter_box", "--letterbox"), ("show", "--save"),
    ("save_labels", "--txt"), ("gpus", "")])
def test_the_option_that_replaces_a_flag(flag: str, option: str) -> None:
    assert darknet.option_of(flag) == option


def test_what_darknet_has_and_this_program_has_not(capsys: pytest.CaptureFixture) -> None:
    assert main(["nightmare", "a.cfg", "b.weights"]) == 2
    assert capsys.readouterr().err == "run.py: darknet's `nightmare` has no counterpart: not supported\n"


@pytest.mark.parametrize("typed", ["train a.cfg", "detect a.cfg dog.jpg", "compare a b", "", "-h", "detekt", "--help",
                                   "detect a.cfg --weights b.weights x.weights", "test a.cfg --weights a.weights"])
def test_our_own_commands_are_not_darknets(typed: str) -> None:
    assert not darknet.is_darknet(typed.split())


@pytest.mark.parametrize("name", [name for name, command in darknet.COMMANDS.items() if command.here])
def test_every_command_here_is_one_with_all_flags_and_with_none(name: str) -> None:
    takes, here = darknet.COMMANDS[name].takes.split(), darknet.COMMANDS[name].here
    values = {"points": "11", "weights": "a.conv.12" if "{cutoff}" in here else "a.weights"}
    flags = [word for flag in re.findall(r"{(\w+)}", here) if flag in darknet.FLAGS and f"[{flag}]" not in takes
             for word in (f"-{flag}", *([values.get(flag, "3" if flag in ("len", "t", "srand") else ".5")]
                                        if darknet.FLAGS[flag].value else []))]
    if name == "detector calc_anchors":
        flags = ["-num_of_clusters", "3", "-width", "64", "-height", "64", "-show"]
    defaults = {"cfg": "a.cfg", "data": "a.data", "tics": "3", "n": "3"}
    full = [values.get(word.strip("[]"), defaults.get(word.strip("[]"), "x")) for word in takes]
    for typed in ([*name.split(), *full, *flags], [*name.split(), *full]):
        found = darknet.answer(typed)
        assert found.words[0] in VERBS and not [word for word in found.words if "{" in word]
        args = _parser(found.words[0])[0].parse_args(found.words)      # argparse exits where an option does not exist
        assert args.run
        assert not [r for r in found.remarks if r.startswith("-") and r[1] != " " and name != "detector demo"]


def test_run_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text(NET)
    assert main(["ops", str(tmp_path / "a.cfg"), "--run"]) == 0
    assert "1  connected" in capsys.readouterr().out
    assert main(["--run", "detector", "train"]) == 2
    assert "CFG, DATA must be given" in capsys.readouterr().err.replace("DATA, CFG", "CFG, DATA")


def test_a_classifier_is_asked_as_darknet_is(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text(NET)
    (tmp_path / "a.names").write_text("cat\ndog\n")
    (tmp_path / "a.data").write_text("classes=2\nnames=a.names\n")
    Image.new("RGB", (5, 5)).save(tmp_path / "a.png")
    weights.save(runner.load(tmp_path / "a.cfg"), tmp_path / "a.weights")
    words = [str(tmp_path / f"a.{ending}") for ending in ("data", "cfg", "weights", "png")]
    assert main(["classifier", "predict", *words, "-t", "1", "--run"]) == 0
    assert re.search(r"a\.png +(cat|dog) +\d", capsys.readouterr().out)


# --- files of weights -------------------------------------------------------------------------------------------------


def saved(tmp_path: Path, name: str, seed: int) -> Model:
    (tmp_path / "a.cfg").write_text(NET)
    net = runner.load(tmp_path / "a.cfg", seed=seed)
    weights.save(net, tmp_path / name)
    return net


def run(tmp_path: Path, *words: str) -> None:
    assert main([*(str(tmp_path / word) if "." in word else word for word in words), "--run"]) == 0


def test_partial_average_rgbgr_and_rescale(tmp_path: Path) -> None:
    a, b = saved(tmp_path, "a.weights", 1), saved(tmp_path, "b.weights", 2)

    run(tmp_path, "average", "a.cfg", "mean.weights", "a.weights", "b.weights")
    mean = runner.load(tmp_path / "a.cfg", tmp_path / "mean.weights")
    for one, two, both in zip(a.layers, b.layers, mean.layers, strict=True):
        for name in one.params:
            np.testing.assert_allclose(both.params[name], (one.params[name] + two.params[name]) / 2, rtol=1e-6)

    run(tmp_path, "partial", "a.cfg", "a.weights", "a.conv", "1")
    head = weights.load(mean, tmp_path / "a.conv", cutoff=1)
    assert np.array_equal(mean.layers[0].params["weights"], a.layers[0].params["weights"]) and head.size == 20
    assert (tmp_path / "a.conv").stat().st_size == 20 + 4 * (2 + 2 * 3 * 9)

    x = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
    run(tmp_path, "rgbgr", "a.cfg", "a.weights", "bgr.weights")
    bgr = runner.load(tmp_path / "a.cfg", tmp_path / "bgr.weights")
    np.testing.assert_allclose(bgr.predict(x[:, ::-1]), a.predict(x), rtol=1e-5)

    run(tmp_path, "rescale", "a.cfg", "a.weights", "r.weights")
    rescaled = runner.load(tmp_path / "a.cfg", tmp_path / "r.weights")
    np.testing.assert_allclose(rescaled.layers[0].forward((x + 1) / 2)[0], a.layers[0].forward(x)[0], rtol=1e-4)
