"""The unit file: systemd understands it, and the service is shut in as far as it says."""

import re
import subprocess

import pytest

from deployment_files import BINARY, DEPLOY, ROOT, flags_of_serve

UNIT = DEPLOY / "systemd" / "reprise.service"


@pytest.fixture
def unit(tmp_path):
    """The unit with the program where it is on this machine, so that systemd finds it."""
    file = tmp_path / "reprise.service"
    file.write_text(UNIT.read_text().replace("/usr/bin/reprise", str(BINARY)))
    return file


def setting(name):
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, arguments)], capture_output=True, text=True)


def test_systemd_understands_every_line(unit):
    result = analyze("verify", unit)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_setting_that_does_not_exist_would_be_found(unit):
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nProtectEverything=yes"))
    assert "ProtectEverything" in analyze("verify", unit).stderr


def test_the_service_can_do_little_but_serve(unit):
    result = analyze("security", "--offline=yes", "--threshold=20", unit)  # tenths of exposure
    assert result.returncode == 0, result.stdout
    loose = unit.read_text().replace("SystemCallFilter=", "#").replace("ProtectSystem=", "#").replace("DynamicUser=", "#")
    unit.write_text(loose.replace("PrivateUsers=", "#"))
    assert analyze("security", "--offline=yes", "--threshold=20", unit).returncode != 0


def test_the_server_has_time_to_end_by_itself():
    (longest,) = setting("TimeoutStopSec")
    text = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    defaults = [int(re.search(rf"--{name}-secs \S+ in \[\S+ - \S+\]=(\d+)", text)[1]) for name in ("lame-duck", "exit-timeout")]
    assert int(longest) >= sum(defaults) + 5
    assert setting("KillMode") == ["mixed"]


def test_the_type_is_right_for_a_server_that_notifies_nobody():
    assert setting("Type") == ["exec"]
    sources = [path for folder in ("server", "engine") for path in (ROOT / folder).rglob("*.cc")]
    assert not [path for path in sources if "sd_notify" in path.read_text() or "NOTIFY_SOCKET" in path.read_text()]


def test_wrong_flags_are_not_tried_again_and_flags_exist():
    assert setting("RestartPreventExitStatus") == ["2"]
    (command,) = setting("ExecStart")
    assert set(re.findall(r"--[a-z-]+", command)) <= set(flags_of_serve())
    # Kernels are made at run time.
    assert setting("MemoryDenyWriteExecute") == ["no"]
