"""Hypothesis strategies for the values that a shape admits, and botocore's view of an operation."""

import functools
from datetime import UTC, datetime
from typing import Any

import botocore.loaders
import botocore.model
from hypothesis import strategies as st

from aws.model import Kind, Shape

# What both JSON and XML can hold; XML parsers turn a lone carriage return into a line feed unless it is escaped.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\t\n\r&<>\"'\x7f"), max_size=12)
_MOMENTS = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms // 1000, tz=UTC))
_SCALARS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: TEXT,
    Kind.CHARACTER: TEXT,
    Kind.INTEGER: st.integers(-(2**31), 2**31 - 1),
    Kind.LONG: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False, width=32),
    Kind.DOUBLE: st.floats(allow_nan=False),
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: _MOMENTS,
    Kind.BLOB: st.binary(max_size=20),
}


@functools.cache
def values(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Of the right types; lengths and patterns are not looked at. What is inside is never empty."""
    if shape.scalar:
        return _SCALARS[shape.kind]
    if shape.kind is Kind.LIST:
        assert shape.element is not None
        return st.lists(values(shape.element, depth + 1), min_size=1, max_size=3)
    if shape.kind is Kind.MAP:
        assert shape.value is not None
        return st.dictionaries(TEXT, values(shape.value, depth + 1), min_size=1, max_size=3)
    full = {name: member for name, member in shape.members.items() if member.members or member.kind != Kind.STRUCTURE}
    names = sorted(name for name, member in full.items() if depth < 3 or member.scalar) or sorted(full)
    if not names:
        return st.just({})

    def some(chosen: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({name: values(shape.members[name], depth + 1) for name in chosen})

    return st.lists(st.sampled_from(names), unique=True, min_size=min(depth, 1), max_size=4).flatmap(some)


def botocore_model(service: str) -> botocore.model.ServiceModel:
    loader = botocore.loaders.Loader()
    return botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)
