"""The whole catalogue: what people read of it."""

from collections import Counter

from features.build import every_signal


def test_no_two_signals_share_a_label() -> None:
    labels = Counter(signal.label for signal in every_signal())
    assert [label for label, count in labels.items() if count > 1] == []


def test_no_label_of_the_catalogue_needs_its_name_beside_it() -> None:
    assert [
        signal.label for signal in every_signal() if signal.label.endswith(f"({signal.name})")
    ] == []
