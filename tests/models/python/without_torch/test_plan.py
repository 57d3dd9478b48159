"""The key attention_reuse is read as docs/model_format.md says."""

import pytest

from reprise_models import ReusePlan, ReusePlanError


def test_algorithm_1_puts_new_heads_first_and_resolves_chains():
    plan = ReusePlan.from_json({"heads": 3, "layers": 4}, 6, 4)
    # Layers 3 and 5 of the worked example in the paper's notation "layer.head": 3.1* 2.1 1.1 1.2 and 5.1* 4.1 3.1 2.1.
    assert plan.source[2] == ((2, 0), (1, 0), (0, 0), (0, 1))
    assert plan.source[4] == ((4, 0), (3, 0), (2, 0), (1, 0))
    assert plan.computed_heads(2) == [0]
    assert plan.computed_heads(5) == [0, 1, 2, 3]
    assert plan.num_reused_heads() == 12


def closed_form(layer, head, num_heads, reused):
    """Source of head `head` of reuse layer `layer`, counted from 1, as derived from Algorithm 1 without its loop."""
    new = num_heads - reused
    if new and head < (layer - 1) * new:
        return (layer - head // new - 1, head % new)
    if not new:
        return (0, head)
    return (head < new and layer - 1 or 0, head - (layer - 1) * new)


@pytest.mark.parametrize("reused", range(7))
def test_algorithm_1_agrees_with_its_closed_form(reused):
    plan = ReusePlan.from_json({"heads": reused, "layers": 7}, 9, 6)
    for layer in range(2, 9):
        assert list(plan.source[layer - 1]) == [closed_form(layer, head, 6, reused) for head in range(6)]


@pytest.mark.parametrize("variant, layers, expected", [
    ("alternate", 2, [0, 0, 2, 2, 4, 5]),
    ("all_end", 2, [0, 1, 2, 2, 2, 5]),
])
def test_variants_reuse_whole_layers(variant, layers, expected):
    plan = ReusePlan.from_json({"variant": variant, "layers": layers}, 6, 2)
    assert [row[1] for row in plan.source] == [(layer, 1) for layer in expected]


def test_skip_takes_attention_away():
    plan = ReusePlan.from_json({"variant": "skip", "layers": 2}, 4, 2)
    assert plan.has_attention == (True, False, False, True)
    assert plan.computed_heads(1) == []
    assert plan.num_reused_heads() == 0 and not plan.is_exact()


def test_an_absent_key_is_an_exact_plan():
    assert ReusePlan.from_json(None, 3, 2).is_exact()


@pytest.mark.parametrize("value, words", [
    (7, "attention_reuse is 7; expected an object with exactly one of"),
    ({"heads": 2}, "has the keys ['heads']; expected exactly one of"),
    ({"heads": True, "layers": 1}, "attention_reuse.heads is True; expected a whole number from 0 to 2"),
    ({"heads": 1, "layers": 2}, "attention_reuse.layers is 2; expected a whole number from 0 to 1"),
    ({"variant": "odd", "layers": 1}, "attention_reuse.variant is 'odd'; expected \"alternate\""),
    ({"variant": "all_end", "layers": 1}, "expected at least 3 layers"),
    ({"source": [[[0, 0], [0, 1]]]}, "attention_reuse.source is an array of 1; expected an array of 2"),
    ({"source": [[[0, 0]], [[1, 0], [1, 1]]]}, "attention_reuse.source[0] is an array of 1; expected an array of 2"),
    ({"source": [[[0, 0], [0, 1]], [[0, 2], [1, 1]]]}, "source[1][0] is [0, 2]; expected [layer, head]"),
    ({"source": [[[0, 0], [0, 1]], [[1, 1], [1, 1]]]}, "source[1][0] is [1, 1], another head of the same layer"),
    ({"source": [[[1, 0], [0, 1]], [[1, 0], [1, 1]]]}, "source[0][0] is [1, 0], a head of a later layer"),
    ({"source": [[[0, 0], [0, 1]], [[0, 0], [1, 1]]], "has_attention": [False, True]}, "a head of a layer without attention"),
    ({"source": [[], []], "has_attention": [False, False]}, "no layer of the reuse plan has attention"),
    ({"source": [[], []], "has_attention": [False]}, "has_attention is an array of 1; expected an array of 2"),
])
def test_what_breaks_a_rule_is_named(value, words):
    with pytest.raises(ReusePlanError) as error:
        ReusePlan.from_json(value, 2, 2)
    assert words in str(error.value)
