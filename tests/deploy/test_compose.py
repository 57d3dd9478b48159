"""The Compose files fit the schema of Compose, shut every container in, and name files, flags and versions that exist."""

import copy
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps"))
BINARY = pathlib.Path(os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise"))
FOLDER = ROOT / "deploy" / "compose"
SCHEMA = json.loads((ROOT / "tests" / "data" / "schemas" / "compose" / "compose-spec.json").read_text())
FILES = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
SERVICES = FILES["compose.yaml"]["services"]
VERSION = re.search(r"project\(reprise VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


def complaints(content):
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(content)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_fits_the_schema(name):
    assert complaints(FILES[name]) == []


def test_the_schema_knows_no_unknown_key():
    content = copy.deepcopy(FILES["compose.yaml"])
    content["services"]["reprise"]["helthcheck"] = {}
    assert any("helthcheck" in complaint for complaint in complaints(content))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_shut_in(name):
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] and not service.get("privileged")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_and_watched(name):
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_the_servers_image_is_of_this_version():
    assert SERVICES["reprise"]["image"] == f"reprise:{VERSION}"
    assert SERVICES["reprise"]["build"]["args"]["VERSION"] == VERSION
    assert FILES["compose.gpu.yaml"]["services"]["reprise"]["image"] == f"reprise:{VERSION}-cuda"


def test_nothing_waits_for_less_than_health():
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert waits["grafana"].keys() == {"prometheus"} and waits["prometheus"].keys() == {"reprise", "alertmanager"}
    assert all(one == {"condition": "service_healthy"} for wait in waits.values() for one in wait.values())


def test_mounts_exist_and_are_read_only():
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"]]
    binds = [mount for mount in mounts if mount["type"] == "bind"]
    assert all(mount["read_only"] for mount in binds)
    sources = [mount["source"] for mount in binds if not mount["source"].startswith("${REPRISE_MODELS:?")]
    assert len(sources) == len(binds) - 1
    assert all((FOLDER / source).exists() for source in sources)
    named = {mount["source"] for mount in mounts if mount["type"] == "volume"}
    assert named == FILES["compose.yaml"]["volumes"].keys()


def test_the_servers_flags_and_its_check_exist():
    for content in FILES.values():
        command = content["services"]["reprise"]["command"]
        text = subprocess.run([BINARY, command[0], "--help"], capture_output=True, text=True, check=True).stdout
        assert all(f"{flag} " in text for flag in command if flag.startswith("--"))
    program, subcommand = SERVICES["reprise"]["healthcheck"]["test"][1:]
    assert program == "/usr/bin/reprise"
    subprocess.run([BINARY, subcommand, "--help"], capture_output=True, check=True)


def test_prometheus_flags_exist_in_the_version_that_is_pinned():
    done = subprocess.run([DEPS / "bin" / "prometheus", "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+\.\d+\.\d+)", done.stdout + done.stderr)[1]
    assert SERVICES["prometheus"]["image"] == f"prom/prometheus:v{version}"
    text = subprocess.run([DEPS / "bin" / "prometheus", "--help"], capture_output=True, text=True, check=True).stdout
    flags = [argument.split("=")[0] for argument in SERVICES["prometheus"]["command"]]
    assert all(f"{flag}=" in text for flag in flags)


def test_what_is_scraped_and_who_is_told_are_services():
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (scraped,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    (told,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    for target in (scraped, told):
        name, port = target.split(":")
        assert any(published.endswith(f":{port}") for published in SERVICES[name]["ports"]), target


def test_grafana_finds_what_is_mounted():
    mounts = {mount["target"]: FOLDER / mount["source"] for mount in SERVICES["grafana"]["volumes"]}
    provider = yaml.safe_load((mounts["/etc/grafana/provisioning"] / "dashboards" / "reprise.yml").read_text())
    boards = mounts[provider["providers"][0]["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (boards / pathlib.Path(home).name).is_file()
    source = yaml.safe_load((mounts["/etc/grafana/provisioning"] / "datasources" / "prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
