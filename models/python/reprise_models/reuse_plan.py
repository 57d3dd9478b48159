"""Whose attention probabilities each head uses: the key `attention_reuse` of config.json, as the engine reads it."""

from __future__ import annotations

import dataclasses

_FORMS = (
    "exactly one of {heads, layers}, {variant, layers} or {source, has_attention}, where has_attention may be left out"
)


class ReusePlanError(ValueError):
    """A plan that breaks a rule: what was found, what was expected, what to do."""


@dataclasses.dataclass(frozen=True)
class ReusePlan:
    """An explicit table. `source[layer][head]` is the (layer, head), from 0, that computes the head's probabilities: itself or a
    head of an earlier layer that computes its own, never a chain. A layer without attention names itself everywhere."""

    source: tuple
    has_attention: tuple

    @property
    def num_layers(self):
        return len(self.source)

    @property
    def num_heads(self):
        return len(self.source[0])

    def computed_heads(self, layer):
        """Heads with query and key projections, ascending: the order of the rows of these weights."""
        if not self.has_attention[layer]:
            return []
        return [head for head in range(self.num_heads) if self.source[layer][head] == (layer, head)]

    def num_reused_heads(self):
        with_attention = sum(self.has_attention) * self.num_heads
        return with_attention - sum(len(self.computed_heads(layer)) for layer in range(self.num_layers))

    def is_exact(self):
        return all(self.has_attention) and self.num_reused_heads() == 0

    @staticmethod
    def exact(num_layers, num_heads):
        return ReusePlan.from_table(_self_table(num_layers, num_heads), [True] * num_layers)

    @staticmethod
    def from_table(source, has_attention):
        """Checks a table and resolves its chains."""
        num_layers, num_heads = len(source), len(source[0])
        resolved = []
        for layer in range(num_layers):
            if not has_attention[layer]:
                resolved.append([(layer, head) for head in range(num_heads)])
                continue
            row = []
            for head, entry in enumerate(source[layer]):
                entry = tuple(entry)
                _check_entry((layer, head), entry, has_attention, num_heads)
                # Sources lie in earlier layers, so the entry's own source is already resolved.
                row.append(entry if entry == (layer, head) else resolved[entry[0]][entry[1]])
            resolved.append(row)
        if not any(has_attention):
            raise ReusePlanError("no layer of the reuse plan has attention; expected at least one: correct has_attention")
        return ReusePlan(tuple(map(tuple, resolved)), tuple(map(bool, has_attention)))

    @staticmethod
    def from_json(attention_reuse, num_layers, num_heads):
        """The value of `attention_reuse`; None is an exact plan."""
        if attention_reuse is None:
            return ReusePlan.exact(num_layers, num_heads)
        if not isinstance(attention_reuse, dict):
            raise ReusePlanError(f"attention_reuse is {_describe(attention_reuse)}; expected an object with {_FORMS}")
        keys = set(attention_reuse)
        if keys == {"heads", "layers"}:
            return _read_proposed(attention_reuse, num_layers, num_heads)
        if keys == {"variant", "layers"}:
            return _read_variant(attention_reuse, num_layers, num_heads)
        if keys in ({"source"}, {"source", "has_attention"}):
            return _read_table(attention_reuse, num_layers, num_heads)
        raise ReusePlanError(f"attention_reuse has the keys {sorted(keys)}; expected {_FORMS}")


def _self_table(num_layers, num_heads):
    return [[(layer, head) for head in range(num_heads)] for layer in range(num_layers)]


def _describe(value):
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "an object" if isinstance(value, dict) else repr(value)


def _check_entry(reader, entry, has_attention, num_heads):
    if entry == reader:
        return
    if not (0 <= entry[0] < len(has_attention) and 0 <= entry[1] < num_heads):
        what = f"which a model of {len(has_attention)} layers with {num_heads} heads does not have"
    elif entry[0] == reader[0]:
        what = "another head of the same layer"
    elif entry[0] > reader[0]:
        what = "a head of a later layer"
    elif not has_attention[entry[0]]:
        what = "a head of a layer without attention"
    else:
        return
    raise ReusePlanError(
        f"source[{reader[0]}][{reader[1]}] is {list(entry)}, {what}; expected {list(reader)} itself or a head of an earlier "
        "layer that has attention: correct this entry"
    )


def _is_count(value, lowest, highest):
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _read_count(plan, key, lowest, highest, model):
    if not _is_count(plan[key], lowest, highest):
        raise ReusePlanError(
            f"attention_reuse.{key} is {_describe(plan[key])}; expected a whole number from {lowest} to {highest}: "
            f"the model has {model}"
        )
    return plan[key]


def _read_proposed(plan, num_layers, num_heads):
    """Algorithm 1 of arXiv 2110.06821: new heads first, then the first K of what the layer before passed on."""
    reused = _read_count(plan, "heads", 0, num_heads, f"{num_heads} heads in each layer")
    layers = _read_count(plan, "layers", 0, num_layers - 1, f"{num_layers} layers, and the first one reuses nothing")
    source = _self_table(num_layers, num_heads)
    new = num_heads - reused
    for layer in range(1, layers + 1):
        source[layer][new:] = [(layer - 1, head) for head in range(reused)]
    return ReusePlan.from_table(source, [True] * num_layers)


def _read_variant(plan, num_layers, num_heads):
    variant, model = plan["variant"], f"{num_layers} layers"
    source, has_attention = _self_table(num_layers, num_heads), [True] * num_layers
    if variant == "alternate":
        for pair in range(_read_count(plan, "layers", 0, num_layers // 2, model)):
            source[2 * pair + 1] = list(source[2 * pair])
    elif variant == "all_end":
        if num_layers < 3:
            raise ReusePlanError(f"all_end reuse in a model of {model}; expected at least 3 layers: choose another variant")
        first = num_layers - 2 - _read_count(plan, "layers", 1, num_layers - 2, model)
        for layer in range(first + 1, num_layers - 1):
            source[layer] = list(source[first])
    elif variant == "skip":
        for layer in range(1, _read_count(plan, "layers", 0, num_layers - 1, model) + 1):
            has_attention[layer] = False
    else:
        raise ReusePlanError(
            f'attention_reuse.variant is {_describe(variant)}; expected "alternate", "all_end" or "skip"'
        )
    return ReusePlan.from_table(source, has_attention)


def _read_table(plan, num_layers, num_heads):
    has_attention = plan.get("has_attention", [True] * num_layers)
    if not (isinstance(has_attention, list) and len(has_attention) == num_layers
            and all(isinstance(entry, bool) for entry in has_attention)):
        raise ReusePlanError(
            f"attention_reuse.has_attention is {_describe(has_attention)}; expected an array of {num_layers}, one true or "
            "false per layer"
        )
    rows = plan["source"]
    if not (isinstance(rows, list) and len(rows) == num_layers):
        raise ReusePlanError(
            f"attention_reuse.source is {_describe(rows)}; expected an array of {num_layers}, one row per layer of the model"
        )
    source = _self_table(num_layers, num_heads)
    for layer, row in enumerate(rows):
        if not has_attention[layer]:
            continue
        if not (isinstance(row, list) and len(row) == num_heads):
            raise ReusePlanError(
                f"attention_reuse.source[{layer}] is {_describe(row)}; expected an array of {num_heads}, one [layer, head] "
                "per head of the model"
            )
        for head, entry in enumerate(row):
            if not (isinstance(entry, list) and len(entry) == 2 and _is_count(entry[0], 0, num_layers - 1)
                    and _is_count(entry[1], 0, num_heads - 1)):
                raise ReusePlanError(
                    f"attention_reuse.source[{layer}][{head}] is {entry!r}; expected [layer, head], whole numbers from 0, "
                    f"layer to {num_layers - 1} and head to {num_heads - 1}: correct this entry"
                )
            source[layer][head] = tuple(entry)
    return ReusePlan.from_table(source, has_attention)
