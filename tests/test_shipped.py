"""Files that come with the program are found wherever it is started; the user's own come first."""
from pathlib import Path

import pytest

import runner
from runner import shipped
from runner.datasets import expand_images, find_data
from runner.errors import CfgError
from tests.paths import ROOT
from tests.verbs import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_path_that_exists_is_not_changed() -> None:
    assert shipped.find("cfg/net.cfg") == str(ROOT / "cfg" / "net.cfg")
    Path("cfg").mkdir()
    Path("cfg/net.cfg").write_text("mine")
    assert shipped.find("cfg/net.cfg") == "cfg/net.cfg"


@pytest.mark.parametrize("path", ["cfg/none.cfg", "cfg", "net.cfg", "runner/errors.py", "../cfg/net.cfg", "",
                                  "cfg/../run.py", "/cfg/net.cfg"])
def test_only_cfgs_and_data_are_found(path: str) -> None:
    assert shipped.find(path) == (path if path != "cfg" else str(ROOT / "cfg"))


def test_in_the_folder_of_the_program_the_path_stays_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert shipped.find("data/digits") == "data/digits"


def test_an_installed_package_has_them_in_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    share = tmp_path / "site-packages" / "runner" / "share"
    (share / "cfg").mkdir(parents=True)
    (share / "cfg" / "mine.cfg").write_text("[net]\ninputs=2\n[connected]\noutput=2\n[softmax]\n")
    monkeypatch.setattr(shipped, "SHARE", share)
    assert len(runner.load("cfg/mine.cfg").layers) == 2
    with pytest.raises(CfgError, match=r"cfg/net\.cfg: the cfg file does not exist"):
        runner.load("cfg/net.cfg")


def test_globs_that_the_shell_leaves_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    main("check", "cfg/yolov3*.cfg")
    assert capsys.readouterr().out.splitlines() == [
        f"{ROOT / 'cfg' / name}: ok ({what} parameters)" for name, what in
        (("yolov3-tiny.cfg", "24 layers, 8,858,734"), ("yolov3.cfg", "107 layers, 62,001,757"))]
    assert len(expand_images(["data/digits/test/7/*4.png"])) == 18
    Path("cfg").mkdir()
    Path("cfg/yolov3-mine.cfg").write_text("[net]\ninputs=2\n[connected]\noutput=2\n[softmax]\n")
    assert shipped.matches("cfg/yolov3*.cfg") == ["cfg/yolov3-mine.cfg"]
    assert shipped.matches("tests/*.py") == shipped.matches("cfg/../run.*") == []


def test_a_copied_cfg_finds_the_data_that_came_with_it() -> None:
    Path("mine.cfg").write_bytes((ROOT / "cfg" / "net.cfg").read_bytes())
    main("check", "mine.cfg")
    assert find_data("mine.cfg", None, "data/digits") == ROOT / "data" / "digits"


def test_the_photo_of_the_readme() -> None:
    main("picture", "dropout", "docs/images/photo.jpg", "--save", "dropout.png")
    assert Path("dropout.png").exists()


def test_verbs_find_them(capsys: pytest.CaptureFixture[str]) -> None:
    main("check", "cfg/net.cfg", "cfg/scenes.cfg")
    assert capsys.readouterr().out.startswith("cfg/net.cfg: ok (8 layers")
    main("data", "data/digits", "--json", "-")
    assert find_data("cfg/net.cfg", None, "data/digits") == ROOT / "data" / "digits"
    assert len(expand_images(["data/digits/test/7"])) == 35
