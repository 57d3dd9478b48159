"""Scenarios: a configuration of ghz, the calls' lengths, and a gate."""

import json
import pathlib

import jsonschema

FOLDER = pathlib.Path(__file__).resolve().parent
GATE_KEYS = {"allowed_codes", "min_ok_share", "min_rate_share", "p50_ms", "p99_ms", "min_calls"}


class ScenarioError(Exception):
    """Says what is wrong with a scenario, or with a flag that changes one."""


def names():
    return sorted(path.stem for path in (FOLDER / "scenarios").glob("*.json"))


def load(name, settings=(), gates=()):
    """{"ghz": ..., "lengths": [...], "gate": ...} of a scenario by name or path, with KEY=VALUE texts in their places."""
    path = FOLDER / "scenarios" / f"{name}.json" if name in names() else pathlib.Path(name)
    try:
        plan = json.loads(path.read_text())
    except OSError:
        raise ScenarioError(f"there is no scenario '{name}'; there are {', '.join(names())}") from None
    except ValueError as error:
        raise ScenarioError(f"{path} is no JSON: {error}") from None
    for part in ("ghz", "lengths", "gate"):
        if part not in plan:
            raise ScenarioError(f"{path} has no '{part}'")
    plan["ghz"].update(map(setting, settings))
    plan["gate"].update(map(setting, gates))
    check(path.name, plan)
    return plan


def setting(text):
    """("rps", 200) of "rps=200": values are JSON, or else text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError(f"'{text}'; expected KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def check(name, plan):
    """ghz ignores keys that it does not know, so a misspelt rate would be none."""
    schema = json.loads((FOLDER / "ghz_config.schema.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(plan["ghz"]):
        raise ScenarioError(f"{name}: ghz's configuration is wrong at '{'.'.join(map(str, error.path))}': {error.message}")
    unknown = set(plan["gate"]) - GATE_KEYS
    if unknown:
        raise ScenarioError(f"{name}: the gate has no '{unknown.pop()}'; it has {', '.join(sorted(GATE_KEYS))}")
