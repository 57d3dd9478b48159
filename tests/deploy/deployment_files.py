"""What the tests of deploy/ share: where programs are, what kustomize renders, and how a rendered container is run here."""

import functools
import os
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SCHEMAS = ROOT / "tests" / "data" / "schemas"
BINARY = pathlib.Path(
    os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise")
)
DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps"))

sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))  # servers, models, scrapes: as the end-to-end tests make them

# Every overlay as it is, and every component on some overlay, each written as a user would write it.
OVERLAYS = ["cpu", "dev", "gateway", "gpu", "tls"]
SUMS_OF_MODELS = {"name": "reprise-models-sums", "literals": ["models.sha256=" + 64 * "0" + "  minilm/1/config.json\n"]}
COMBINATIONS = {
    "cpu+keda": ("cpu", ["models-pvc", "servicemonitor", "keda", "networkpolicy"], {}),
    "cpu+hpa+init": (
        "cpu",
        ["models-pvc", "models-init", "servicemonitor", "hpa"],
        {"configMapGenerator": [SUMS_OF_MODELS]},
    ),
    "gpu+image": ("gpu", ["models-image", "servicemonitor", "keda", "networkpolicy"], {}),
    "tls+all": ("tls", ["models-pvc", "servicemonitor", "networkpolicy", "hpa"], {}),
}


def build(folder):
    """What `kustomize build` makes of a folder, as a list of objects."""
    command = [str(DEPS / "bin" / "kustomize"), "build", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    assert not result.stderr, f"{command} warns: {result.stderr}"
    return list(yaml.safe_load_all(result.stdout))


def write_combination(folder, overlay, components, extra):
    """A kustomization outside deploy/ that builds upon it."""
    where = os.path.relpath(KUBERNETES, folder)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "reprise",
        "resources": [f"{where}/overlays/{overlay}"],
        "components": [f"{where}/components/{component}" for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization | extra))
    return folder


@functools.cache
def scratch_folder():
    """A folder in the build tree: kustomize takes bases by relative paths only, and these are short."""
    folder = ROOT / "build" / "deploy_tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def rendered(name):
    """The objects of "base", an overlay, a combination, or "kserve"."""
    if name == "base":
        return build(KUBERNETES / "base")
    if name == "kserve":
        samples = sorted((DEPLOY / "kserve").glob("inference_service_*.yaml"))
        return build(DEPLOY / "kserve") + [yaml.safe_load(sample.read_text()) for sample in samples]
    if name in OVERLAYS:
        return build(KUBERNETES / "overlays" / name)
    folder = scratch_folder() / name.replace("+", "_")
    folder.mkdir(exist_ok=True)
    return build(write_combination(folder, *COMBINATIONS[name]))


OF_KUBERNETES = ["base", *OVERLAYS, *COMBINATIONS]
ALL = [*OF_KUBERNETES, "kserve"]


def of_kind(name, kind):
    return [resource for resource in rendered(name) if resource["kind"] == kind]


def kserve_pods():
    """The pods that KServe makes of each sample: the runtime's container, the pod settings of the predictor."""
    runtimes = {runtime["metadata"]["name"]: runtime["spec"] for runtime in of_kind("kserve", "ServingRuntime")}
    for service in of_kind("kserve", "InferenceService"):
        predictor = dict(service["spec"]["predictor"])
        runtime = runtimes[predictor.pop("model")["runtime"]]
        shared = {key: runtime[key] for key in ("containers", "volumes", "tolerations") if key in runtime}
        yield service["metadata"]["name"], {"metadata": service["metadata"], "spec": predictor | shared}


def pods_of(name):
    """(name, pod) of every pod that a rendering leads to."""
    if name == "kserve":
        return list(kserve_pods())
    return [
        (resource["metadata"]["name"], resource["spec"]["template"])
        for resource in rendered(name)
        if "template" in resource.get("spec", {})
    ]


def all_pods():
    """For parametrize: (name of the rendering, pod) of every pod, by telling ids."""
    return [(name, pod) for name in ALL for _, pod in pods_of(name)]


def server_container(pod):
    (container,) = pod["spec"]["containers"]
    return container


def flag(container, name):
    """The value of a flag in a container's arguments; None where it is not given."""
    arguments = container["args"]
    return arguments[arguments.index(name) + 1] if name in arguments else None


def quantity(text):
    """A Kubernetes quantity as a number: 2Gi, 250m, 4."""
    number, suffix = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    factors = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
    factors |= {f"{letter}i": 1024 ** (power + 1) for power, letter in enumerate("KMGT")}
    return float(number) * factors[suffix]


def environment_of(container):
    """A container's environment as the kubelet makes it, for a server on this machine."""
    environment = {"PATH": "/usr/bin:/bin"}
    for variable in container.get("env", []):
        if "value" in variable:
            environment[variable["name"]] = variable["value"]
        else:
            resource = variable["valueFrom"]["resourceFieldRef"]["resource"].removeprefix("limits.")
            environment[variable["name"]] = str(int(quantity(container["resources"]["limits"][resource])))
    return environment


@functools.cache
def flags_of_serve():
    """{flag: name of its environment variable} of `reprise serve`."""
    text = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^  (--[a-z-]+).*?\(Env:(REPRISE_[A-Z_]+)\)", text, re.MULTILINE))
