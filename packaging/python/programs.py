"""Puts `rehearse` and `mock-yagna` into the wheel, and names the systems that they run on.

They are taken from the folder in GOLEM_PROGRAMS, else from the tree's release build, which is made if it is not there.
"""
import os
import platform
import re
import shutil
import stat
import subprocess
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAMS = ("rehearse", "mock-yagna")


def programs(tree):
    """The folder that has the programs."""
    named = os.environ.get("GOLEM_PROGRAMS")
    folder = Path(named) if named else Path(os.environ.get("CARGO_TARGET_DIR", tree / "target")) / "release"
    if not named and not all((folder / name).is_file() for name in PROGRAMS):
        build = ["cargo", "build", "--release", "--locked", "-p", "golem-scenarios", "-p", "mock-yagna"]
        subprocess.run(build + [word for name in PROGRAMS for word in ("--bin", name)], cwd=tree, check=True)
    return folder


def tag(files):
    """The wheel's tag: any Python, and on Linux the oldest C library that has every symbol."""
    if platform.system() != "Linux":
        return "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())
    machine = platform.machine()
    wanted = {tuple(map(int, found)) for file in files for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", file.read_bytes())}
    if not wanted:  # static
        return f"py3-none-manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    return "py3-none-manylinux_{}_{}_{}".format(*max(wanted), machine)


class Programs(BuildHookInterface):
    def initialize(self, version, build_data):
        here = Path(self.root)
        built, ready = programs(here.parents[1]), here / "build"
        ready.mkdir(exist_ok=True)
        files = []
        for name in PROGRAMS:
            file = ready / name
            shutil.copy(built / name, file)
            if shutil.which("strip"):
                subprocess.run(["strip", str(file)], check=True)
            file.chmod(file.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
            files.append(file)
            build_data["shared_scripts"][str(file)] = name
        build_data["pure_python"] = False
        build_data["tag"] = tag(files)
