"""Installs pinned packages into a virtual environment of their own.

    install.py <folder> <constraints file or -> <package> [package ...]

Run under guard.py's lock, so that one process builds at a time. It is built beside the folder and renamed when it is
whole: a folder that is there can be used, and a build that was killed leaves nothing but what the next one removes.
ready.json holds the commands that the first package brings, and the version of everything that was installed.
"""

import json
import os
import shutil
import subprocess
import sys
import venv

READ_INSTALLED = """
import json, re, sys
from importlib.metadata import distribution, distributions
name = re.split(r"[\\[=@ ]", sys.argv[1])[0]
commands = sorted(e.name for e in distribution(name).entry_points if e.group == "console_scripts")
versions = {d.metadata["Name"]: d.version for d in distributions()}
print(json.dumps({"commands": commands, "versions": versions}))
"""


def main():
    folder, constraints, packages = sys.argv[1], sys.argv[2], sys.argv[3:]
    if os.path.exists(folder):
        return
    part = folder + ".part"
    shutil.rmtree(part, ignore_errors=True)
    venv.create(part, with_pip=True, symlinks=True)
    python = os.path.join(part, "bin", "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    bound = [] if constraints == "-" else ["--constraint", constraints]
    status = subprocess.call(pip + bound + packages)
    if status != 0:
        shutil.rmtree(part, ignore_errors=True)
        sys.exit(status)
    ready = subprocess.check_output([python, "-c", READ_INSTALLED, packages[0]])
    with open(os.path.join(part, "ready.json"), "wb") as file:
        file.write(ready)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, folder)


main()
