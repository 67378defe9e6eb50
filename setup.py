"""What pyproject.toml cannot say: the package carries cfg/, data/ and the shipped weights, in runner/share/."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARE = ("cfg", "data", "weights/shipped")
PHOTO = "docs/images/photo.jpg"         # that `picture` draws on in the README


class BuildWithShare(build_py):
    """build_py, and then a copy of the folders of SHARE; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        for name in SHARE if not self.editable_mode else ():
            target = Path(self.build_lib) / "runner" / "share" / name
            shutil.rmtree(target, ignore_errors=True)       # of an earlier build
            shutil.copytree(name, target)
        if not self.editable_mode:
            photo = Path(self.build_lib) / "runner" / "share" / PHOTO
            photo.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PHOTO, photo)


setup(cmdclass={"build_py": BuildWithShare})
