from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.churn.segment_tree import segment_tree

KEYS = st.sampled_from(["a", "b", "all", "plan=pro", ""])
LABELS = st.one_of(
    st.just("all"), st.lists(KEYS, min_size=1, max_size=4).map(" / ".join), st.text(max_size=5)
)
SEGMENTS = st.dictionaries(LABELS, st.booleans(), max_size=12)


def above(label):
    """Ancestors of a label, itself first, written without the project's own splitting."""
    found = [label]
    while found[-1] != "all":
        cut = found[-1].rfind(" / ")
        found.append(found[-1][:cut] if cut > 0 else "all")
    return found


def test_parents_exist_though_no_row_is_in_them():
    tree = segment_tree(["a / b / c", "d"], [True, True])
    # all, a, a / b, a / b / c, d
    assert tree.parent.tolist() == [-1, 0, 1, 2, 0]
    assert tree.node.tolist() == [3, 4]
    assert tree.size == 5


def test_a_silent_segment_uses_its_nearest_ancestor_with_coefficients():
    names = ["a", "a / b", "a / b / c", "d", "d / e"]
    tree = segment_tree(names, [True, False, False, False, False])
    assert tree.parent.tolist() == [-1, 0]
    assert tree.node.tolist() == [1, 1, 1, 0, 0]


def test_a_silent_parent_of_a_segment_that_speaks_is_a_node_of_its_own():
    tree = segment_tree(["a", "a / b"], [False, True])
    assert tree.parent.tolist() == [-1, 0, 1]
    assert tree.node.tolist() == [1, 2]


def test_the_root_is_there_once_though_it_is_a_segment_itself():
    tree = segment_tree(["all", "b"], [True, True])
    assert tree.parent.tolist() == [-1, 0]
    assert tree.node.tolist() == [0, 1]


@pytest.mark.parametrize("speaks", [True, False])
def test_one_segment_or_none(speaks):
    assert segment_tree(["all"], [speaks]).parent.tolist() == [-1]
    assert segment_tree([], []).parent.tolist() == [-1]
    assert segment_tree([], []).node.tolist() == []


def test_a_key_that_begins_like_another_is_no_ancestor():
    tree = segment_tree(["pro", "pro+", "pro+ / new"], [True, True, True])
    assert tree.parent.tolist() == [-1, 0, 0, 2]


@given(SEGMENTS)
def test_parents_come_first_and_every_segment_finds_its_nearest_node(segments):
    tree = segment_tree(list(segments), list(segments.values()))
    assert tree.parent[0] == -1
    assert all(0 <= parent < node for node, parent in enumerate(tree.parent) if node)
    nodes = {name for label, own in segments.items() if own for name in above(label)} | {"all"}
    assert tree.size == len(nodes)
    nearest = [next(name for name in above(label) if name in nodes) for label in segments]
    # Segments share a node exactly when they share the nearest name, and the root is node 0.
    pairs = set(zip(nearest, tree.node.tolist(), strict=True))
    assert len(pairs) == len({name for name, _ in pairs}) == len({node for _, node in pairs})
    assert all((name == "all") == (node == 0) for name, node in pairs)
    place = dict(pairs)
    for name, node in pairs:
        path = [name]
        while node:
            node = tree.parent[node]
            path.append(above(path[-1])[1])
            assert place.get(path[-1], node) == node
        assert path == above(name)


@given(SEGMENTS, st.randoms())
def test_the_order_of_the_segments_changes_nothing(segments, random):
    names = list(segments)
    random.shuffle(names)
    tree = segment_tree(list(segments), list(segments.values()))
    other = segment_tree(names, [segments[name] for name in names])
    assert tree.parent.tolist() == other.parent.tolist()
    assert dict(zip(segments, tree.node.tolist(), strict=True)) == dict(
        zip(names, other.node.tolist(), strict=True)
    )
