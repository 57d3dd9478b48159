"""The root of the image, made of the program under test: what is in it, and how it serves and ends as a container would."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from deployment_files import BINARY, DEPLOY, DEPS
from model_repository import make_tiny_repository

DOCKER = DEPLOY / "docker"
USER = 65532
LAME_DUCK_S = 2
MOST_BYTES_OF_CPU_IMAGE = 150_000_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="chroot and mounts need root")


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def image_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("image") / "root"
    result = run(DOCKER / "runtime_root", BINARY, root)
    assert result.returncode == 0, result.stderr
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_tiny_repository(BINARY, tmp_path_factory.mktemp("models_of_image") / "models")


def inspect(root, target="cpu"):
    return run(DOCKER / "inspect_root", target, root)


def test_the_image_breaks_no_rule(image_root):
    result = inspect(image_root)
    assert result.returncode == 0, result.stdout + result.stderr
    (size,) = re.findall(r"^cpu: ([\d.]+) MB in \d+ files", result.stdout, re.MULTILINE)
    assert 0 < float(size) * 1e6 <= MOST_BYTES_OF_CPU_IMAGE


def test_the_budget_of_the_cpu_image_is_within_what_was_promised():
    budgets = dict(re.findall(r"^(\w+) +(\d+)$", (DOCKER / "size_budget.txt").read_text(), re.MULTILINE))
    assert sorted(budgets) == ["cpu", "cuda"]
    assert int(budgets["cpu"]) * 1_000_000 <= MOST_BYTES_OF_CPU_IMAGE


def add_shell(root):
    (root / "usr" / "bin" / "sh").symlink_to("reprise")


def add_program(root):
    shutil.copy("/usr/bin/env", root / "usr" / "bin" / "env")


def set_user_id(root):
    (root / "usr" / "bin" / "reprise").chmod(0o4755)


def add_capability(root):
    capability = bytes.fromhex("0100000200040000" + "00" * 12)  # cap_net_bind_service, effective and permitted
    os.setxattr(root / "usr" / "bin" / "reprise", "security.capability", capability)


def grow(root):
    with open(root / "usr" / "share" / "ballast", "wb") as file:
        file.truncate(150_000_000)


def make_writable(root):
    (root / "etc" / "passwd").chmod(0o666)


def hide(root):
    (root / "etc" / "passwd").chmod(0o600)


def change_owner(root):
    os.chown(root / "etc" / "passwd", USER, USER)


def link_outside(root):
    (root / "etc" / "outside").symlink_to("../../../../../etc/hostname")


def link_nowhere(root):
    (root / "etc" / "nowhere").symlink_to("/etc/nothing")


def lose_a_library(root):
    (root / "usr" / "lib" / "x86_64-linux-gnu" / "libgomp.so.1").unlink()


@pytest.mark.parametrize(
    "damage, rule, found",
    [
        (add_shell, "no shell, interpreter or package manager", "/usr/bin/sh"),
        (add_program, "one program only", "/usr/bin/env"),
        (set_user_id, "no file has set-user-ID", "/usr/bin/reprise"),
        (add_capability, "no file carries capabilities", "/usr/bin/reprise"),
        (grow, "the budget of", "all files together have"),
        (make_writable, "only /tmp may be written by others", "/etc/passwd"),
        (hide, "everything can be read by everyone", "/etc/passwd"),
        (change_owner, "everything belongs to root", f"{USER}:{USER} /etc/passwd"),
        (link_outside, "links end inside", "/etc/outside"),
        (link_nowhere, "links end inside", "/etc/nowhere"),
        (lose_a_library, "the loader finds every library", "libgomp.so.1"),
    ],
)
def test_a_broken_rule_is_named_with_the_file(image_root, tmp_path, damage, rule, found):
    root = tmp_path / "root"
    assert run("cp", "-a", image_root, root).returncode == 0
    damage(root)
    result = inspect(root)
    assert result.returncode == 1
    (broken,) = re.findall(r"^BROKEN: (.*):$", result.stderr, re.MULTILINE)
    assert broken.startswith(rule) and found in result.stderr
    shutil.rmtree(root)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ([], "expected BINARY FOLDER, found 0 arguments"),
        (["/nothing", "new"], "there is no file /nothing"),
        (["--library", "/nothing", "/usr/bin/env", "new"], "there is no file /nothing"),
        (["/usr/bin/env", "."], "exists already"),
        (["--quick", "a", "b"], "unknown option '--quick'"),
    ],
)
def test_a_root_that_cannot_be_made_says_why(tmp_path, arguments, error):
    result = run(DOCKER / "runtime_root", *arguments, cwd=tmp_path)
    assert result.returncode == 1 and error in result.stderr
    assert not list(tmp_path.iterdir())


# --- As a container: read-only root, a user without rights, process 1 and the network of its own, the image's own command.

ENTER = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --bind "$2" "$1/models"
mount -o remount,bind,ro "$1/models"
mount -t proc proc "$1/proc"
python3 -c "$LOOPBACK_UP"
exec setpriv --no-new-privs chroot --userspec="$3" --groups= "$1" "${@:4}"
"""
# What `ip link set lo up` does.
LOOPBACK_UP = """
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
"""


def of_dockerfile(pattern):
    (found,) = re.findall(pattern, (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    return found


def image_command():
    return json.loads(of_dockerfile(r"^ENTRYPOINT (.*)$")) + json.loads(of_dockerfile(r"^CMD (.*)$"))


class Contained:
    """The server in the image's root, as process 1 of a process namespace."""

    def __init__(self, root, models, log_path, **environment):
        self._root = root
        self._log_path = log_path
        command = ["unshare", "--mount", "--pid", "--net", "--fork", "bash", "-c", ENTER, "bash", root, models]
        command += [of_dockerfile(r"^USER (.*)$"), *image_command()]
        environment = os.environ | environment | {"LOOPBACK_UP": LOOPBACK_UP}
        with open(log_path, "wb") as log:
            self._outer = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env=environment)

    def in_its_network(self, *command):
        return ["nsenter", "--target", str(self.process_id), "--net", *map(str, command)]

    def log(self):
        lines = self._log_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]

    def await_log(self, message):
        deadline = time.monotonic() + 60
        while True:
            ended = self._outer.poll() is not None
            for line in self.log():
                if line["message"] == message:
                    return line
            assert not ended and time.monotonic() < deadline, self._log_path.read_text()
            time.sleep(0.01)

    @property
    def process_id(self):
        """As this namespace counts."""
        children = pathlib.Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        (child,) = children
        return int(child)

    def status(self):
        lines = pathlib.Path(f"/proc/{self.process_id}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def path_inside(self, path):
        """A path as the server sees it, its mounts included."""
        return pathlib.Path(f"/proc/{self.process_id}/root{path}")

    def stop(self, number=signal.SIGTERM):
        os.kill(self.process_id, number)
        return self._outer.wait(timeout=60)

    def kill(self):
        if self._outer.poll() is None:
            os.kill(self.process_id, signal.SIGKILL)  # the outer one ends when the inner one has
            self._outer.wait(timeout=60)


@pytest.fixture
def contained(image_root, models, tmp_path):
    (image_root / "proc").mkdir(exist_ok=True)  # as a container runtime makes it
    server = Contained(image_root, models, tmp_path / "server.log", REPRISE_LAME_DUCK_SECS=str(LAME_DUCK_S))
    try:
        server.await_log("ready")
        yield server
    finally:
        server.kill()


def test_it_serves_without_rights_or_a_place_to_write(contained, image_root):
    status = contained.status()
    assert status["NSpid"].split()[-1] == "1"
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert status["Groups"].split() in ([], [str(USER)])
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for folder in ("/", "/tmp", "/models"):  # not even root could write there
        with pytest.raises(OSError, match="Read-only file system"):
            (contained.path_inside(folder) / "new").touch()
    check = json.loads(of_dockerfile(r"^HEALTHCHECK [^\n]*\\\n +CMD (.*)$"))
    asked = run(*contained.in_its_network("chroot", image_root, *check))
    assert (asked.returncode, asked.stdout) == (0, "SERVING\n"), asked.stderr


def test_it_listens_where_the_image_says(contained):
    ports = [int(port) for port in of_dockerfile(r"^EXPOSE (.*)$").split()]
    (line,) = [line for line in contained.log() if line["message"] == "listening"]
    assert line["host"] == "0.0.0.0"
    assert sorted([line["http_port"], line["grpc_port"], line["metrics_port"]]) == sorted(ports)


@pytest.fixture
def calling(contained):
    """deploy/docker/drain_client, its calls well under way."""
    client = [DEPS / "venv" / "bin" / "python", DOCKER / "drain_client", "--address", "127.0.0.1:8001"]
    client += ["--model", "tiny-reuse", "--linger-s", LAME_DUCK_S / 2]
    process = subprocess.Popen(contained.in_its_network(*client), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "calling\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_sigterm_under_load_loses_no_request(contained, calling):
    assert contained.stop() == 0
    output, _ = calling.communicate(timeout=60)
    result = json.loads(output)
    assert calling.returncode == 0, result
    assert result["failed"] == {} and result["told"]
    assert result["answered_after_told"] > 0  # all through the lame duck
    assert [line["message"] for line in contained.log()][-1] == "stopped"


def test_the_client_of_that_test_notices_an_end_without_lame_duck(contained, calling):
    assert contained.stop(signal.SIGINT) == 0
    output, _ = calling.communicate(timeout=60)
    assert calling.returncode == 1, output
