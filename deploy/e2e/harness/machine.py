"""What all tests share: one dockerd, its images, one folder for data and logs. Made once, removed at the end."""

import os
import shutil
import tempfile

from .docker import Dockerd


class Machine:
    """The shared servers; `artefacts` is where logs and screenshots stay after the run."""

    def __init__(self, artefacts):
        self.artefacts = artefacts
        os.makedirs(artefacts, exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="yagura-e2e-")
        self.dockerd = Dockerd(os.path.join(self.folder, "docker"), os.path.join(artefacts, "dockerd.log"))
        self.busybox = self.nginx = None

    def start(self):
        self.dockerd.start()
        self.busybox = self.dockerd.make_busybox()
        self.nginx = self.dockerd.make_nginx()

    def stop(self):
        try:
            self.dockerd.stop()
        finally:
            for name in os.listdir(self.folder):
                if name.endswith(".log"):
                    shutil.copy(os.path.join(self.folder, name), self.artefacts)
            shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, name):
        """A fresh folder for one test's data."""
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        return path


#: Set by `run.py` before the first test.
MACHINE: Machine = None


def machine():
    return MACHINE
