"""Builds the wheel; everything else is in setup.cfg.

The recipes and what they share travel in the wheel as data of the package, in asrpar/shipped, where `asrpar.recipes`
looks for them. There is one copy in the repository: egs/ and utils/.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# What runs leave in a clone.
LEFT = shutil.ignore_patterns("exp", "download", "data", "__pycache__", "*.pyc", "cmd.sh")


class BuildWithRecipes(build_py):
    """Copies egs/ and utils/ beside the built modules."""

    def run(self) -> None:
        """Build the package, and add the recipes; where it is installed in place they are found in the clone."""
        super().run()
        if self.editable_mode:
            return
        shipped = Path(self.build_lib, "asrpar", "shipped")
        shutil.rmtree(shipped, ignore_errors=True)
        for folder in ("egs", "utils"):
            shutil.copytree(folder, shipped / folder, ignore=LEFT)


setup(cmdclass={"build_py": BuildWithRecipes})
