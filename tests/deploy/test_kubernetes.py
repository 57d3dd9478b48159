"""The rendered objects are what their API servers take, fit together, and are as restricted as they claim."""

import copy
import json
import os
import re
import subprocess

import pytest
import yaml

from deployment_files import (
    ALL,
    COMBINATIONS,
    DEPLOY,
    DEPS,
    KUBERNETES,
    OF_KUBERNETES,
    OVERLAYS,
    ROOT,
    SCHEMAS,
    all_pods,
    build,
    flag,
    flags_of_serve,
    of_kind,
    pods_of,
    quantity,
    rendered,
    server_container,
)

VERSION = re.search(r"project\(reprise VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
PROBES = {"startupProbe": "startup", "readinessProbe": "readiness", "livenessProbe": "liveness"}
MIB = 1024 * 1024

every_rendering = pytest.mark.parametrize("name", ALL)
every_kubernetes_rendering = pytest.mark.parametrize("name", OF_KUBERNETES)
every_pod = pytest.mark.parametrize(("name", "pod"), all_pods(), ids=[name for name, _ in all_pods()])


# --- Schemas


def kubeconform(resources):
    """What kubeconform says of each object: {"status": ..., "msg": ...}."""
    location = str(SCHEMAS / "{{.ResourceKind}}{{.KindSuffix}}.json")
    command = [str(DEPS / "bin" / "kubeconform"), "-strict", "-output", "json", "-verbose"]
    result = subprocess.run(
        [*command, "-schema-location", location, "-"],
        input=yaml.safe_dump_all(resources),
        capture_output=True,
        text=True,
        timeout=60,
    )
    answers = json.loads(result.stdout)["resources"]
    assert len(answers) == len(resources), result.stdout + result.stderr
    return answers


@every_rendering
def test_every_object_is_valid(name):
    for resource, answer in zip(rendered(name), kubeconform(rendered(name)), strict=True):
        assert answer["status"] == "statusValid", f"{resource['kind']}: {answer['msg']}"


def one_of_each_kind():
    return {resource["kind"]: resource for name in ALL for resource in rendered(name)}


def test_every_schema_is_used():
    kinds = {kind.lower() for kind in one_of_each_kind()} | {"pod"}  # render_pod's
    files = {file.name.split("-")[0] for file in SCHEMAS.glob("*-*.json")}
    assert files == kinds


def places_for_a_bogus_field(node, path=()):
    """The paths of all maps in an object that are not the user's to fill."""
    free = {"labels", "annotations", "matchLabels", "requests", "limits", "data", "selector", "nodeSelector"}
    if isinstance(node, dict) and not (path and path[-1] in free):
        # A selector of a Service is a free map, one of anything else is an object with matchLabels.
        yield path
    elif isinstance(node, dict) and path[-1] == "selector" and "matchLabels" in node:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else []
    for key, value in items:
        # The metadata of a KEDA trigger belongs to the scaler.
        if "triggers" not in path or key != "metadata":
            yield from places_for_a_bogus_field(value, (*path, key))


def with_bogus_field(resource, path):
    changed = copy.deepcopy(resource)
    place = changed
    for key in path:
        place = place[key]
    place["bogus"] = "field"
    return changed


@pytest.mark.parametrize("kind", sorted(one_of_each_kind()))
def test_a_field_that_does_not_exist_is_refused_wherever_it_stands(kind):
    resource = one_of_each_kind()[kind]
    paths = list(places_for_a_bogus_field(resource))
    answers = kubeconform([with_bogus_field(resource, path) for path in paths])
    accepted = [path for path, answer in zip(paths, answers, strict=True) if answer["status"] != "statusInvalid"]
    assert not accepted
    assert all("bogus" in answer["msg"] for answer in answers)


@pytest.mark.parametrize(
    ("kind", "api_version"),
    [
        ("Deployment", "extensions/v1beta1"),
        ("Deployment", "apps/v1beta2"),
        ("PodDisruptionBudget", "policy/v1beta1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2beta2"),
        ("GRPCRoute", "gateway.networking.k8s.io/v1alpha2"),
        ("InferenceService", "serving.kserve.io/v1alpha2"),
    ],
)
def test_an_api_version_that_was_removed_is_refused(kind, api_version):
    (answer,) = kubeconform([one_of_each_kind()[kind] | {"apiVersion": api_version}])
    assert answer["status"] in ("statusError", "statusInvalid")
    assert "could not find schema" in answer["msg"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("resources", "limits", "memory"), "two gigabytes"),
        (("readinessProbe", "grpc", "port"), "grpc"),
        (("ports", 0, "containerPort"), "8001"),
        (("args",), "serve"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(path, value):
    deployment = copy.deepcopy(of_kind("base", "Deployment")[0])
    place = server_container(deployment["spec"]["template"])
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (answer,) = kubeconform([deployment])
    assert answer["status"] == "statusInvalid"


# --- Pods


def violations_of_restricted(pod):
    """What the Pod Security Standard `restricted` would say of a pod, rule by rule."""
    spec = pod["spec"]
    shared = spec.get("securityContext", {})
    found = [f"{key} is true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}
    allowed |= {"persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes", []):
        (source,) = set(volume) - {"name"}
        if source not in allowed:
            found.append(f"volume {volume['name']} is a {source}")
    if "sysctls" in shared or "appArmorProfile" in shared or "seLinuxOptions" in shared:
        found.append("pod settings that restricted limits, and this check does not know")
    for container in spec.get("initContainers", []) + spec["containers"]:
        name, own = container["name"], container.get("securityContext", {})
        if own.get("privileged") or own.get("procMount", "Default") != "Default":
            found.append(f"{name} is privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name} may escalate")
        if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
            found.append(f"{name} may run as root")
        if own.get("runAsUser", shared.get("runAsUser")) == 0:
            found.append(f"{name} runs as user 0")
        profile = own.get("seccompProfile", shared.get("seccompProfile", {})).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name} has the seccomp profile {profile}")
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append(f"{name} has capabilities {capabilities}")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{name} takes a port of the host")
    return found


@every_pod
def test_pods_are_restricted(name, pod):
    assert not violations_of_restricted(pod)
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("hostNetwork",), True),
        (("volumes", 0), {"name": "models", "hostPath": {"path": "/"}}),
        (("securityContext", "runAsNonRoot"), False),
        (("securityContext", "runAsUser"), 0),
        (("securityContext", "seccompProfile", "type"), "Unconfined"),
        (("containers", 0, "securityContext", "privileged"), True),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        (("containers", 0, "securityContext", "capabilities"), {"drop": []}),
        (("containers", 0, "securityContext", "capabilities", "add"), ["SYS_ADMIN"]),
        (("containers", 0, "ports", 0, "hostPort"), 8001),
    ],
)
def test_the_check_for_restricted_pods_finds_each_violation(path, value):
    pod = copy.deepcopy(pods_of("base")[0][1])
    place = pod["spec"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(violations_of_restricted(pod)) == 1


@every_pod
def test_pods_have_no_token_and_no_service_links(name, pod):
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False


@every_rendering
def test_no_service_would_set_a_flag_of_a_server_that_has_service_links(name):
    variables = set(flags_of_serve().values())
    for service in of_kind(name, "Service"):
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        links = {f"{prefix}_PORT", f"{prefix}_SERVICE_HOST", f"{prefix}_SERVICE_PORT"}
        assert not links & variables


@every_pod
def test_containers_have_equal_limits_and_requests_in_whole_cores(name, pod):
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        limits = container["resources"]["limits"]
        assert limits == container["resources"]["requests"]
        assert {"cpu", "memory", "ephemeral-storage"} <= set(limits)
        assert quantity(limits["cpu"]) == int(quantity(limits["cpu"]))


@every_pod
def test_what_may_be_written_fits_the_ephemeral_storage(name, pod):
    spec = pod["spec"]
    written = sum(quantity(v["emptyDir"]["sizeLimit"]) for v in spec["volumes"] if "emptyDir" in v)
    allowed = sum(quantity(c["resources"]["limits"]["ephemeral-storage"]) for c in spec["containers"])
    assert written < allowed


@every_pod
def test_what_the_server_may_hold_beside_models_leaves_room_for_them(name, pod):
    """The bounds of the flags, as docs/kubernetes.md adds them up."""
    container = server_container(pod)
    limit = quantity(container["resources"]["limits"]["memory"])
    http = 0 if "--no-http" in container["args"] else int(flag(container, "--http-memory-bytes").removesuffix("mb")) * MIB
    bounded = limit / 4 + http + 256 * MIB + 256 * MIB  # gRPC's messages, HTTP's, queue, stored scores
    assert limit - bounded >= 768 * MIB


@every_pod
def test_images_have_versions_and_the_server_that_of_the_project(name, pod):
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        image, _, tag = container["image"].partition(":")
        assert tag and tag != "latest"
        if image == "reprise":
            assert tag == VERSION + ("-cuda" if "cuda" in container["args"] else "")
    assert server_container(pod)["image"].startswith("reprise:")


@every_pod
def test_the_three_probes_ask_for_their_health_over_grpc(name, pod):
    container = server_container(pod)
    port = 8003 if "--tls-cert" in container["args"] else 8001
    for probe, service in PROBES.items():
        assert container[probe]["grpc"] == {"port": port, "service": service}
        assert port in [declared["containerPort"] for declared in container["ports"]]
    assert "lifecycle" not in container  # the lame duck does what a preStop would


@every_pod
def test_the_grace_period_is_longer_than_the_server_takes_to_end(name, pod):
    container = server_container(pod)
    longest = int(flag(container, "--lame-duck-secs")) + int(flag(container, "--exit-timeout-secs"))
    assert pod["spec"]["terminationGracePeriodSeconds"] >= longest + 5
    # While the pod leaves the endpoints, the server must still answer: readiness fails after this long.
    readiness = container["readinessProbe"]
    assert int(flag(container, "--lame-duck-secs")) > readiness["periodSeconds"] * readiness["failureThreshold"]


@every_kubernetes_rendering
def test_a_rollout_may_take_as_long_as_a_start(name):
    for deployment in of_kind(name, "Deployment"):
        probe = server_container(deployment["spec"]["template"])["startupProbe"]
        assert deployment["spec"]["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


@every_pod
def test_flags_and_variables_exist(name, pod):
    container = server_container(pod)
    known = flags_of_serve()
    given = [argument for argument in container["args"] if argument.startswith("--")]
    assert not set(given) - set(known)
    assert len(given) == len(set(given))  # a flag that is given twice is an error
    ours = {variable["name"] for variable in container["env"] if variable["name"].startswith("REPRISE_")}
    assert not ours - set(known.values())


@every_pod
def test_mounts_and_volumes_belong_to_each_other(name, pod):
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert flag(server_container(pod), "--model-repository") in [
        *(mount["mountPath"] for mount in server_container(pod)["volumeMounts"]),
        *(["/mnt/models"] if name == "kserve" else []),  # KServe's own mount
    ]


# --- Objects that name each other


def matches(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


@every_kubernetes_rendering
def test_selectors_find_the_pods(name):
    ((_, pod),) = pods_of(name)
    labels = pod["metadata"]["labels"]
    (deployment,) = of_kind(name, "Deployment")
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod["spec"]["topologySpreadConstraints"]]
    selectors += [service["spec"]["selector"] for service in of_kind(name, "Service")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in of_kind(name, "PodDisruptionBudget")]
    policies = [policy["spec"]["podSelector"] for policy in of_kind(name, "NetworkPolicy")]
    assert policies in ([], [{}, {"matchLabels": {"app.kubernetes.io/name": "reprise"}}])
    selectors += [policy["matchLabels"] for policy in policies if policy]
    assert all(matches(selector, labels) for selector in selectors)
    (budget,) = of_kind(name, "PodDisruptionBudget")
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["spec"]["maxUnavailable"] == 1


@every_kubernetes_rendering
def test_named_ports_exist(name):
    ((_, pod),) = pods_of(name)
    ports = {port["name"]: port["containerPort"] for port in server_container(pod)["ports"]}
    for service in of_kind(name, "Service"):
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for policy in of_kind(name, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= set(ports)
    # As the server says itself.
    defaults = {"grpc": 8001, "http": 8000, "metrics": 8002}
    assert ports == defaults | ({"health": 8003} if name.startswith("tls") else {})


@every_kubernetes_rendering
def test_all_objects_are_in_one_namespace_which_is_restricted(name):
    (namespace,) = of_kind(name, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [resource for resource in rendered(name) if resource["kind"] != "Namespace"]
    assert {resource["metadata"].get("namespace") for resource in others} == {namespace["metadata"]["name"]}


@every_kubernetes_rendering
def test_metrics_are_scraped_through_a_service_of_their_own(name):
    for service in of_kind(name, "Service"):
        names = {port["name"] for port in service["spec"]["ports"]}
        assert ("metrics" in names) == (service["metadata"]["name"] == "reprise-scrape")
    for monitor in of_kind(name, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (found,) = [s for s in of_kind(name, "Service") if matches(wanted, s["metadata"].get("labels", {}))]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in found["spec"]["ports"]]
        assert found["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "reprise"


@every_kubernetes_rendering
def test_replicas_have_one_owner(name):
    (deployment,) = of_kind(name, "Deployment")
    targets = [scaler["spec"]["scaleTargetRef"]["name"] for scaler in of_kind(name, "ScaledObject")]
    targets += [scaler["spec"]["scaleTargetRef"]["name"] for scaler in of_kind(name, "HorizontalPodAutoscaler")]
    if targets:
        assert targets == [deployment["metadata"]["name"]]
        assert "replicas" not in deployment["spec"]
    elif name != "base":
        assert deployment["spec"]["replicas"] >= 1


def test_routes_lead_to_the_service_through_the_gateway():
    (route,), (gateway,) = of_kind("gateway", "GRPCRoute"), of_kind("gateway", "Gateway")
    (parent,) = route["spec"]["parentRefs"]
    assert parent["name"] == gateway["metadata"]["name"]
    assert parent["sectionName"] in [listener["name"] for listener in gateway["spec"]["listeners"]]
    services = {service["metadata"]["name"]: service["spec"] for service in of_kind("gateway", "Service")}
    for rule in route["spec"]["rules"]:
        for backend in rule["backendRefs"]:
            ports = {port["port"]: port for port in services[backend["name"]]["ports"]}
            assert ports[backend["port"]]["appProtocol"] == "kubernetes.io/h2c"


def test_routes_name_methods_that_exist_and_none_that_control():
    text = "".join(path.read_text() for path in sorted((ROOT / "proto").glob("*/**/*.proto")))
    methods = set(re.findall(r"rpc (\w+)\(", text))
    services = {"inference.GRPCInferenceService", "reprise.v1.Reprise", "grpc.health.v1.Health"}
    (route,) = of_kind("gateway", "GRPCRoute")
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            assert match["method"]["service"] in services
            assert match["method"].get("method", "ModelInfer") in methods
            # The service in which loads, unloads and log settings are is let through by method only.
            assert "method" in match["method"] or match["method"]["service"] != "inference.GRPCInferenceService"
            assert not re.search("Repository|Log|Trace|Memory", match["method"].get("method", ""))


def test_a_gpu_pod_has_a_gpu_and_waits_for_none():
    (deployment,) = of_kind("gpu", "Deployment")
    container = server_container(deployment["spec"]["template"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert flag(container, "--device") == "cuda"
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert any(toleration["key"] == "nvidia.com/gpu" for toleration in deployment["spec"]["template"]["spec"]["tolerations"])


def test_tls_is_mounted_where_the_server_looks_and_readable_for_its_group():
    ((_, pod),) = pods_of("tls")
    container = server_container(pod)
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "tls"]
    (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "tls"]
    assert flag(container, "--tls-cert") == f"{mount['mountPath']}/tls.crt"
    assert flag(container, "--tls-key") == f"{mount['mountPath']}/tls.key"
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]
    for service in of_kind("tls", "Service"):
        assert {port["appProtocol"] for port in service["spec"]["ports"]} == {"https"}


def test_models_are_never_writable_for_the_server():
    for _, pod in all_pods():
        mounts = {mount["name"]: mount for mount in server_container(pod)["volumeMounts"]}
        assert mounts.get("models", {"readOnly": True})["readOnly"] is True
        for volume in pod["spec"]["volumes"]:
            assert volume.get("persistentVolumeClaim", {"readOnly": True})["readOnly"] is True


def test_a_changed_list_of_sums_makes_new_pods():
    """kustomize names the ConfigMap by what is in it, and the pod by that name."""
    (config_map,) = of_kind("cpu+hpa+init", "ConfigMap")
    ((_, pod),) = pods_of("cpu+hpa+init")
    assert re.fullmatch(r"reprise-models-sums-[0-9a-z]{10}", config_map["metadata"]["name"])
    (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "sums"]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]


def test_every_overlay_and_component_is_rendered_here():
    assert sorted(folder.name for folder in (KUBERNETES / "overlays").iterdir()) == OVERLAYS
    used = {component for _, components, _ in COMBINATIONS.values() for component in components}
    assert {folder.name for folder in (KUBERNETES / "components").iterdir()} == used


# --- KServe


def test_runtimes_are_as_kserve_wants_them():
    for runtime in of_kind("kserve", "ServingRuntime"):
        (container,) = runtime["spec"]["containers"]
        assert container["name"] == "kserve-container"
        # Any other port, or another name, would be taken for REST.
        assert [port["name"] for port in container["ports"]] == ["h2c"]
        assert runtime["spec"]["protocolVersions"] == ["grpc-v2"]
        assert runtime["spec"]["annotations"]["prometheus.kserve.io/port"] == "8002"
        assert flag(container, "--model-name") == "{{.Name}}"


def test_samples_name_a_runtime_that_takes_their_format():
    runtimes = {runtime["metadata"]["name"]: runtime["spec"] for runtime in of_kind("kserve", "ServingRuntime")}
    services = of_kind("kserve", "InferenceService")
    assert {service["spec"]["predictor"]["model"]["runtime"] for service in services} == set(runtimes)
    for service in services:
        model = service["spec"]["predictor"]["model"]
        formats = runtimes[model["runtime"]]["supportedModelFormats"]
        assert model["modelFormat"] in [{"name": f["name"], "version": f["version"]} for f in formats]
        assert model["protocolVersion"] in runtimes[model["runtime"]]["protocolVersions"]
        assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


# --- render_pod


def render_pod(*arguments):
    command = [str(KUBERNETES / "render_pod"), *map(str, arguments), "--kustomize", str(DEPS / "bin" / "kustomize")]
    environment = {"REPRISE_DEPS": str(DEPS), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize("overlay", ["dev", "cpu"])
def test_render_pod_prints_the_pod_of_the_deployment(overlay, tmp_path):
    result = render_pod(tmp_path, "--overlay", overlay, "--image", "localhost/reprise:test", "--memory", "1Gi")
    assert result.returncode == 0, result.stderr
    pod = yaml.safe_load(result.stdout)
    (answer,) = kubeconform([pod])
    assert answer["status"] == "statusValid", answer["msg"]
    assert violations_of_restricted(pod) == ["volume models is a hostPath"]
    container, original = server_container(pod), server_container(pods_of(overlay)[0][1])
    assert container["image"] == "localhost/reprise:test"
    assert container["resources"]["limits"]["memory"] == "1Gi"
    for key in ("command", "args", "env", "ports", "securityContext", "volumeMounts"):
        assert container[key] == original[key]
    (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "models"]
    assert volume["hostPath"]["path"] == str(tmp_path)


def test_render_pod_says_what_is_wrong(tmp_path):
    result = render_pod(tmp_path / "nothing")
    assert result.returncode == 2
    assert "nothing' is not a folder" in result.stderr


# --- What is written about all this


def test_the_kustomization_of_the_page_builds(tmp_path):
    page = (KUBERNETES / "README.md").read_text()
    (block,) = re.findall(r"```yaml\n# my_cluster/kustomization.yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "kustomization.yaml").write_text(block.replace("../deploy", os.path.relpath(DEPLOY, tmp_path)))
    resources = build(tmp_path)
    assert all(answer["status"] == "statusValid" for answer in kubeconform(resources))
    (deployment,) = [resource for resource in resources if resource["kind"] == "Deployment"]
    assert server_container(deployment["spec"]["template"])["image"] == f"registry.example/reprise:{VERSION}"


PAGES = [ROOT / "docs" / "kubernetes.md", DEPLOY / "README.md", KUBERNETES / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_pages_name_only_what_exists(page):
    text = page.read_text()
    declared = {metric["name"] for metric in json.loads((ROOT / "server/metrics/metrics.json").read_text())["metrics"]}
    for name in re.findall(r"\breprise_[a-z_]+\b", text):
        assert re.sub("_(bucket|sum|count)$", "", name) in declared | {"reprise_queue_seconds_mean", "reprise_load"}, name
    for folder in re.findall(r"\b(?:overlays|components)/[a-z-]+\b(?!\*)", text):
        assert (KUBERNETES / folder).is_dir() or folder == "components/models-", folder
    for variable in re.findall(r"\bREPRISE_[A-Z_]+\b", text):
        assert variable in {*flags_of_serve().values(), "REPRISE_DEPS", "REPRISE_BINARY", "REPRISE_SERVERS"}, variable
