"""A dockerd of our own, and images made from what is installed: nothing is pulled."""

import json
import os
import shutil
import stat
import tempfile
import time

from .processes import Process, must, run, wait_for

BUSYBOX_TOOLS = "sh sleep echo cat head tail dd date true false seq yes mkdir rm printf kill test wget nc ls".split()


class Dockerd:
    """dockerd with its own data root, socket and pid file under `root`."""

    def __init__(self, root, log_path):
        self.root, self.log_path = root, log_path
        self.socket = os.path.join(root, "docker.sock")
        self.process = None

    def start(self):
        os.makedirs(self.root, exist_ok=True)
        command = ["dockerd", "--data-root", f"{self.root}/data", "--exec-root", f"{self.root}/exec"]
        command += ["--pidfile", f"{self.root}/docker.pid", "--host", f"unix://{self.socket}"]
        command += ["--storage-driver", "overlay2", "--log-level", "warn"]
        # Containers outlive the daemon, so that the agent can be tried without one.
        command += ["--live-restore"]
        pid_file = f"{self.root}/docker.pid"
        if os.path.exists(pid_file):
            os.remove(pid_file)
        self.process = Process("dockerd", command, self.log_path)
        wait_for("dockerd to answer", lambda: run(self._docker("version"))[0] == 0, 60)

    def stop(self, remove=True):
        if remove and self.process and self.process.running():
            ids = must(self._docker("ps", "-aq")).split()
            if ids:
                run(self._docker("rm", "-f", *ids), 120)
        if self.process:
            self.process.stop(60)
        if remove:
            self._remove_data()

    def _remove_data(self):
        # overlay2 unmounts a moment after the last container is gone
        for _ in range(50):
            shutil.rmtree(self.root, ignore_errors=True)
            if not os.path.exists(self.root):
                return
            time.sleep(0.1)

    def _docker(self, *arguments):
        return ["docker", "--host", f"unix://{self.socket}", *arguments]

    def docker(self, *arguments, seconds=60):
        """`docker ARGUMENTS` against this daemon; gives back stdout."""
        return must(self._docker(*arguments), seconds)

    def run(self, name, image, command, *options):
        """Starts a container in the background and gives back its id."""
        return self.docker("run", "-d", "--name", name, *options, image, *command).strip()

    def inspect(self, name):
        return json.loads(self.docker("inspect", name))[0]

    def remove(self, *names):
        run(self._docker("rm", "-f", "-v", *names), 120)

    def make_busybox(self, tag="busybox:e2e"):
        """An image with Debian's static busybox and links for the tools the tests use."""
        with tempfile.TemporaryDirectory() as tree:
            os.makedirs(f"{tree}/bin")
            os.makedirs(f"{tree}/tmp")
            shutil.copy("/bin/busybox", f"{tree}/bin/busybox")
            for tool in BUSYBOX_TOOLS:
                os.symlink("busybox", f"{tree}/bin/{tool}")
            self._import(tree, tag)
        return tag

    def make_nginx(self, tag="nginx:1.22"):
        """An image with the machine's nginx and the libraries it is linked with."""
        with tempfile.TemporaryDirectory() as tree:
            files = ["/usr/sbin/nginx", "/etc/nginx/mime.types"]
            for line in must(["ldd", "/usr/sbin/nginx"]).splitlines():
                files += [word for word in line.split() if word.startswith("/")]
            # the name service is loaded at run time, not linked
            files += [f"/lib/x86_64-linux-gnu/{name}" for name in ("libnss_files.so.2", "libnss_dns.so.2")]
            for file in files:
                if os.path.exists(file):
                    os.makedirs(os.path.dirname(tree + file), exist_ok=True)
                    shutil.copy(file, tree + file)
            for folder in ("tmp", "var/log/nginx", "var/lib/nginx", "run", "usr/share/nginx/html", "etc/nginx", "bin"):
                os.makedirs(f"{tree}/{folder}", exist_ok=True)
            shutil.copy("/bin/busybox", f"{tree}/bin/busybox")
            for tool in BUSYBOX_TOOLS:
                os.symlink("busybox", f"{tree}/bin/{tool}")
            _write(f"{tree}/etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
            _write(f"{tree}/etc/group", "root:x:0:\nnogroup:x:65534:\n")
            _write(f"{tree}/usr/share/nginx/html/index.html", "<h1>shop is open</h1>\n")
            _write(f"{tree}/etc/nginx/nginx.conf", NGINX_CONF)
            self._import(tree, tag)
        return tag

    def _import(self, tree, tag):
        os.chmod(f"{tree}/tmp", stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO | stat.S_ISVTX)
        archive = f"{tree}.tar"
        try:
            must(["tar", "-C", tree, "-cf", archive, "."])
            self.docker("import", archive, tag)
        finally:
            os.remove(archive)


NGINX_CONF = """
daemon off;
worker_processes 1;
user nobody nogroup;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    server { listen 80; root /usr/share/nginx/html; }
}
"""


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)
