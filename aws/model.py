"""The service models that botocore carries, as typed, compiled shapes.

Only this module knows botocore. A `ServiceModel` compiles the shapes of an operation when they are first asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import botocore.loaders
import botocore.model

from aws.pattern import Pattern


class Kind(StrEnum):
    """The types of shapes."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    CHARACTER = "character"
    INTEGER = "integer"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    BLOB = "blob"


_SCALARS: Final = frozenset(Kind) - {Kind.STRUCTURE, Kind.LIST, Kind.MAP}


@dataclass(slots=True, eq=False, repr=False)
class Shape:
    """One use of a shape: what the shape says, and what the member that uses it adds. Shapes may be recursive.

    `minimum` and `maximum` bound a length (strings in characters, blobs in bytes, lists and maps in entries) or a value.
    """

    name: str
    kind: Kind
    wire_name: str | None = None
    """The name on the wire where it is not the member's."""
    flattened: bool = False
    document: bool = False
    """A structure that takes any JSON value."""
    sensitive: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: Pattern | None = None
    enum: tuple[str, ...] = ()
    timestamp_format: str | None = None
    members: dict[str, "Shape"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    by_wire_name: dict[str, tuple[str, "Shape"]] = field(default_factory=dict)
    """Wire name -> member name and shape."""
    element: "Shape | None" = None
    """What a list holds."""
    key: "Shape | None" = None
    value: "Shape | None" = None
    result_wrapper: str | None = None

    def __repr__(self) -> str:
        return f"Shape({self.name!r}, {self.kind.value})"

    @property
    def scalar(self) -> bool:
        """Neither a structure nor a list nor a map."""
        return self.kind in _SCALARS


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """A modelled exception. `status` and `query_code` are None where the model leaves them to the protocol."""

    shape: Shape
    status: int | None
    query_code: str | None
    fault: bool
    """The server's fault rather than the sender's."""


@dataclass(frozen=True, slots=True)
class OperationModel:
    """An operation's shapes. `signed` is False for the few that take no signature."""

    name: str
    input: Shape | None
    output: Shape | None
    signed: bool


class ServiceModel:
    """One service of botocore's, compiled as it is used."""

    def __init__(self, name: str, description: dict[str, Any]) -> None:
        self._source = botocore.model.ServiceModel(description, name)
        self._shape_descriptions: dict[str, Any] = description["shapes"]
        metadata: dict[str, Any] = description["metadata"]
        self.name = name
        self.protocol: str = metadata["protocol"]
        self.version: str = metadata["apiVersion"]
        self.signing_name: str = metadata.get("signingName") or metadata["endpointPrefix"]
        self.target_prefix: str | None = metadata.get("targetPrefix")
        self.json_version: str = metadata.get("jsonVersion", "1.0")
        self.namespace: str = metadata.get("xmlNamespace", "")
        self.operations = frozenset(self._source.operation_names)
        self._operations: dict[str, OperationModel] = {}
        self._errors: dict[str, ErrorModel] | None = None
        self._shapes: dict[str, Shape] = {}
        self._patterns: dict[str, Pattern] = {}

    def __repr__(self) -> str:
        return f"ServiceModel({self.name!r})"

    def operation(self, name: str) -> OperationModel:
        """Raises KeyError for an operation the service has not, PatternError for one whose input cannot be checked."""
        if name not in self._operations:
            if name not in self.operations:
                raise KeyError(f"{self.name} has no operation {name!r}")
            source: Any = self._source.operation_model(name)
            self._operations[name] = OperationModel(
                name=name,
                input=self._compile(source.input_shape),
                output=self._compile(source.output_shape),
                signed=source.auth_type != "none" and source.auth != ["smithy.api#noAuth"],
            )
        return self._operations[name]

    def error(self, code: str) -> ErrorModel | None:
        """The modelled exception of that name, or of that Query code."""
        if self._errors is None:
            self._errors = dict(self._compile_errors())
        return self._errors.get(code)

    def _compile_errors(self) -> Iterator[tuple[str, ErrorModel]]:
        for source in self._source.error_shapes:
            description = self._shape_descriptions[source.name]
            about: dict[str, Any] = description.get("error") or {}
            fault = bool(description.get("fault")) or about.get("httpStatusCode", 400) >= 500
            shape = self._compile(source)
            assert shape is not None
            status = about.get("httpStatusCode") or (500 if fault else None)
            model = ErrorModel(shape, status, about.get("code"), fault)
            yield source.name, model
            if model.query_code is not None and model.query_code != source.name:
                yield model.query_code, model

    def _compile(self, source: Any) -> Shape | None:
        if source is None:
            return None
        facts: dict[str, Any] = source.metadata
        wire: dict[str, Any] = source.serialization
        known = f"{source.name} {sorted(wire.items())} {sorted(facts.items(), key=lambda item: item[0])}"
        if known in self._shapes:
            return self._shapes[known]
        shape = Shape(
            name=source.name,
            kind=Kind(source.type_name),
            wire_name=wire.get("name"),
            flattened=bool(wire.get("flattened")),
            document=bool(facts.get("document")),
            sensitive=bool(facts.get("sensitive")),
            minimum=facts.get("min"),
            maximum=facts.get("max"),
            pattern=self._pattern(facts.get("pattern")),
            enum=tuple(facts.get("enum", ())),
            timestamp_format=wire.get("timestampFormat"),
            result_wrapper=wire.get("resultWrapper"),
        )
        self._shapes[known] = shape  # before its parts, which may be the shape itself
        if shape.kind is Kind.STRUCTURE:
            for name, member in source.members.items():
                compiled = self._compile(member)
                assert compiled is not None
                shape.members[name] = compiled
                shape.by_wire_name[compiled.wire_name or name] = (name, compiled)
            shape.required = tuple(source.required_members)
        elif shape.kind is Kind.LIST:
            shape.element = self._compile(source.member)
        elif shape.kind is Kind.MAP:
            shape.key = self._compile(source.key)
            shape.value = self._compile(source.value)
        return shape

    def _pattern(self, source: str | None) -> Pattern | None:
        if source is None:
            return None
        if source not in self._patterns:
            self._patterns[source] = Pattern(source)
        return self._patterns[source]


class Models:
    """Loads services from botocore's own data (never from a user's home directory), each once."""

    def __init__(self) -> None:
        self._loader: Any = botocore.loaders.Loader(
            extra_search_paths=[botocore.loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
        )
        self._services: dict[str, ServiceModel] = {}

    def service(self, name: str) -> ServiceModel:
        """By botocore's name (`ecr`). Raises KeyError."""
        if name not in self._services:
            try:
                description = self._loader.load_service_model(name, "service-2")
            except Exception as error:
                raise KeyError(f"botocore has no service {name!r}") from error
            self._services[name] = ServiceModel(name, description)
        return self._services[name]
