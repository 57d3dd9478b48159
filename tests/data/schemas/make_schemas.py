#!/usr/bin/env python3
"""Makes the JSON schemas that the deployment files are checked with, from what the projects publish.

Run in the repository root, with PyYAML, pip and Go at hand:

    .deps/venv/bin/python tests/data/schemas/make_schemas.py

Downloads some 60 MB through Go's module proxy and PyPI; what comes must have the sums below. README.md says what
the schemas leave out.
"""

import argparse
import ast
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import yaml

# Go modules: version, and its sum as in go.sum.
KUBERNETES = ("k8s.io/kubernetes", "v1.36.3", "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=")
GATEWAY_API = ("sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=")
KEDA = ("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=")
PROMETHEUS_OPERATOR = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
# KServe's Go module cannot be had through the proxy; its Python client, made from the same Go types, can.
KSERVE = "kserve==0.21.0 --hash=sha256:df9bc5888704d9085015e08f1a8fced5ff0698f3becc6212d4e7b8234c71623b"

KUBERNETES_KINDS = [
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
]
CUSTOM_KINDS = [  # module, file in it, version
    (GATEWAY_API, "config/crd/standard/gateway.networking.k8s.io_gateways.yaml", "v1"),
    (GATEWAY_API, "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml", "v1"),
    (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml", "v1alpha1"),
    (
        PROMETHEUS_OPERATOR,
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "v1",
    ),
]
KSERVE_KINDS = {"V1alpha1ServingRuntime": "ServingRuntime", "V1beta1InferenceService": "InferenceService"}
# KServe's own classes whose fields are let through; a field that leads to any other one is refused.
KSERVE_CLASSES = {
    "V1alpha1ServingRuntimeSpec",
    "V1alpha1SupportedModelFormat",
    "V1beta1InferenceServiceSpec",
    "V1beta1ModelFormat",
    "V1beta1ModelSpec",
    "V1beta1PredictorSpec",
}
KSERVE_GROUP = "serving.kserve.io"

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# What the API server takes for a quantity: a number, or a number with a suffix.
QUANTITY = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": "^[+-]?([0-9]+|[0-9]+[.][0-9]*|[.][0-9]+)"
         "(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?[0-9]+)?$"},
    ]
}
INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def module_folder(module):
    name, version, expected = module
    command = ["go", "mod", "download", "-json", f"{name}@{version}"]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if result["Sum"] != expected:
        sys.exit(f"{name}@{version} has the sum {result['Sum']}, expected {expected}")
    return pathlib.Path(result["Dir"])


# --- Kubernetes: one OpenAPI document of definitions that refer to each other.


def strict_definition(node):
    """A definition without prose and extensions, and with no fields but the named ones."""
    if isinstance(node, list):
        return [strict_definition(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    result = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: strict_definition(field) for name, field in value.items()}
        elif key not in ("description", "default") and not key.startswith("x-"):
            result[key] = strict_definition(value)
    if "properties" in result:
        result["additionalProperties"] = False
    return result


class Definitions:
    """The definitions that were asked for, and those that they lead to."""

    def __init__(self, document):
        self._all = document["definitions"]
        self.kept = {}

    def reference(self, name):
        todo = [name]
        while todo:
            current = todo.pop()
            if current not in self.kept:
                self.kept[current] = self._definition(current)
                todo += re.findall(r'"#/definitions/([^"]+)"', json.dumps(self.kept[current]))
        return {"$ref": f"definitions.json#/definitions/{name}"}

    def _definition(self, name):
        if name.endswith(".resource.Quantity"):
            return QUANTITY
        if name.endswith(".intstr.IntOrString"):
            return INT_OR_STRING
        return strict_definition(self._all[name])

    def kind_of(self, name):
        (kind,) = self._all[name]["x-kubernetes-group-version-kind"]
        return kind["group"], kind["version"], kind["kind"]

    def named(self, short_name):
        """The full name of a core type, `Container`, as KServe's client shortens it, `V1Container`."""
        full = f"io.k8s.api.core.v1.{short_name}"
        return full if full in self._all else None


def top_level(group, version, kind, properties, required=()):
    api_version = f"{group}/{version}" if group else version
    fixed = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
    return {
        "type": "object",
        "properties": properties | fixed,
        "required": sorted({"apiVersion", "kind", "metadata", *required}),
        "additionalProperties": False,
    }


def kubernetes_kind(definitions, name):
    definitions.reference(name)
    group, version, kind = definitions.kind_of(name)
    fields = json.loads(json.dumps(definitions.kept[name]["properties"]).replace("#/def", "definitions.json#/def"))
    fields.pop("status", None)
    return (group, version, kind), top_level(group, version, kind, fields)


# --- Custom resources: a whole OpenAPI schema in each definition.


def strict_custom(node):
    if isinstance(node, list):
        return [strict_custom(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: strict_custom(field) for name, field in value.items()}
        elif key not in ("description", "default", "nullable") and not key.startswith("x-kubernetes-"):
            result[key] = strict_custom(value)
    keeps_unknown = node.get("x-kubernetes-preserve-unknown-fields", False)
    # Within anyOf and the like, properties only constrain what the schema around them has named.
    if "properties" in result and result.get("type") == "object" and not keeps_unknown:
        result.setdefault("additionalProperties", False)
    if node.get("x-kubernetes-int-or-string") and "anyOf" not in result:
        result |= INT_OR_STRING
    if node.get("nullable"):
        result = {"anyOf": [result, {"type": "null"}]}
    return result


def custom_kind(definitions, module, file, version):
    resource = yaml.safe_load((module_folder(module) / file).read_text())["spec"]
    (schema,) = [v["schema"]["openAPIV3Schema"] for v in resource["versions"] if v["name"] == version]
    strict = strict_custom(schema)
    fields = strict["properties"] | {"metadata": definitions.reference(OBJECT_META)}
    fields.pop("status", None)
    key = (resource["group"], version, resource["names"]["kind"])
    return key, top_level(*key, fields, strict.get("required", ()))


# --- KServe: the tables of types and names in the classes of its Python client.

SIMPLE_TYPES = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "ResourceQuantity": QUANTITY,
}


class KserveClasses:
    def __init__(self, definitions, sources):
        self._definitions = definitions
        self._sources = sources  # by class name
        self.kept = {}

    def schema_of(self, name):
        """The schema of a class, inline; None for one that is not let through."""
        if name in KSERVE_CLASSES or name in KSERVE_KINDS:
            return self._object(name)
        if name == "V1ObjectMeta":
            return self._definitions.reference(OBJECT_META)
        short = re.sub("^(K8sIoApiAppsV1|V1)", "", name)
        full = f"io.k8s.api.apps.v1.{short}" if name.startswith("K8sIoApiApps") else self._definitions.named(short)
        return self._definitions.reference(full) if full else None

    def _object(self, name):
        source = self._sources[name]
        tables = {}
        for statement in ast.walk(ast.parse(source)):
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if statement.targets[0].id in ("openapi_types", "attribute_map"):
                    tables[statement.targets[0].id] = ast.literal_eval(statement.value)
        names = tables["attribute_map"]
        fields = {names[field]: self._type(kind) for field, kind in tables["openapi_types"].items()}
        required = re.findall(r'"Invalid value for `(\w+)`, must not be `None`"', source)
        result = {
            "type": "object",
            "properties": {field: schema for field, schema in fields.items() if schema is not None},
            "additionalProperties": False,
        }
        return result | ({"required": [names[field] for field in required]} if required else {})

    def _type(self, text):
        if text in SIMPLE_TYPES:
            return SIMPLE_TYPES[text]
        if match := re.fullmatch(r"list\[(.+)\]", text):
            item = self._type(match[1])
            return item and {"type": "array", "items": item}
        if match := re.fullmatch(r"dict\(str, (.+)\)", text):
            value = self._type(match[1])
            return value and {"type": "object", "additionalProperties": value}
        return self.schema_of(text)


def kserve_kinds(definitions):
    with tempfile.TemporaryDirectory() as folder:
        requirement = pathlib.Path(folder) / "requirement.txt"
        requirement.write_text(KSERVE)
        pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "--dest", folder, "--requirement", requirement], check=True)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        sources = {}
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if re.fullmatch(r"kserve/models/v1\w+\.py", member):
                    text = archive.read(member).decode()
                    sources[re.search(r"^class (\w+)\(", text, re.MULTILINE)[1]] = text
    classes = KserveClasses(definitions, sources)
    for name, kind in KSERVE_KINDS.items():
        version = name.removesuffix(kind).lower()
        fields = classes.schema_of(name)["properties"]
        fields.pop("status", None)
        yield (KSERVE_GROUP, version, kind), top_level(KSERVE_GROUP, version, kind, fields, ["spec"])


def file_name(group, version, kind):
    """As kubeconform's template {{.ResourceKind}}{{.KindSuffix}} has it."""
    parts = [kind.lower(), group.split(".")[0], version]
    return "-".join(part for part in parts if part) + ".json"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=here, help="default: beside this script")
    output = parser.parse_args().output
    document = json.loads((module_folder(KUBERNETES) / "api/openapi-spec/swagger.json").read_text())
    definitions = Definitions(document)
    kinds = dict(kubernetes_kind(definitions, name) for name in KUBERNETES_KINDS)
    kinds |= dict(custom_kind(definitions, *kind) for kind in CUSTOM_KINDS)
    kinds |= dict(kserve_kinds(definitions))
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.json"):
        old.unlink()
    for key, schema in kinds.items():
        (output / file_name(*key)).write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    lines = [f"{json.dumps(name)}: {json.dumps(body, sort_keys=True)}" for name, body in sorted(definitions.kept.items())]
    (output / "definitions.json").write_text('{"definitions": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(kinds)} kinds and {len(lines)} definitions in {output}")


if __name__ == "__main__":
    main()
