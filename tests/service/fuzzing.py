"""Messages that nobody would send: any message of a type, with odd values in every field.

For each service's test that no request is answered with INTERNAL::

    @given(messages(CreateRunRequest))
    def send(request):
        code = runner.run(answer_to(channel, descriptor, request.SerializeToString()))
        assert code not in (StatusCode.INTERNAL, StatusCode.UNKNOWN)
"""

from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

Built = TypeVar("Built", bound=Message)

_DEPTH = 4
_ELEMENTS = 3

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "../../etc/passwd",
    "/",
    "//",
    "..",
    "a/../b",
    "%2e%2e%2f",
    "s3://",
    "s3://bucket/../key",
    "file:///etc/passwd",
    "runs/",
    "jobs/",
    "runs/../jobs/x",
    "runs/00000000-0000-0000-0000-000000000000",
    "jobs/00000000-0000-7000-8000-000000000000",
    "'; DROP TABLE jobs; --",
    "{}",
    "[]",
    "null",
    "NaN",
    "-1",
    "1e999",
    "jwst_9999.pmap",
    "N/A",
    "rate",
    "detector1",
    "stage2",
    "NEAR_INFRARED",
    "a\nb\r\nc",
    "\u202e\u0000\ufeff",
    "\U0001f52d" * 50,
    "x" * 5000,
)

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}


def messages(kind: type[Built], *, depth: int = _DEPTH) -> st.SearchStrategy[Built]:
    """Any message of a generated class, valid on the wire, whatever it means; `depth` bounds what lies in what."""
    return _fields(kind.DESCRIPTOR, depth).map(lambda fields: _build(kind, fields))


def _texts() -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=("Cs",))  # half characters cannot be sent
    return st.one_of(st.sampled_from(ODD_TEXTS), st.text(characters, max_size=20))


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.type in _INTEGERS:
        low, high = _INTEGERS[field.type]
        edges = [edge for edge in (low, -1, 0, 1, high) if low <= edge <= high]
        return st.one_of(st.sampled_from(edges), st.integers(low, high))
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _texts()
        case FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=50)
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.TYPE_DOUBLE:
            return st.floats()
        case FieldDescriptor.TYPE_FLOAT:
            return st.floats(width=32)
        case FieldDescriptor.TYPE_ENUM:
            known = st.sampled_from([value.number for value in field.enum_type.values])
            return st.one_of(known, st.integers(-(2**31), 2**31 - 1))  # proto3 takes unknown ones
    return _fields(field.message_type, depth - 1)


@st.composite
def _fields(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> dict[str, Any]:
    """Values by the name of the field, for some of the fields; at most one of each oneof."""
    chosen: dict[str, Any] = {}
    taken: set[str] = set()
    for field in descriptor.fields:
        group = field.containing_oneof
        deeper = field.type == FieldDescriptor.TYPE_MESSAGE
        if (deeper and depth == 0) or (group and group.name in taken) or not draw(st.booleans()):
            continue
        if group:
            taken.add(group.name)
        if is_map(field):
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            if value.type == FieldDescriptor.TYPE_MESSAGE and depth == 1:
                continue
            entries = st.dictionaries(_values(key, depth), _values(value, depth - 1), max_size=_ELEMENTS)
            chosen[field.name] = draw(entries)
        elif field.is_repeated:
            chosen[field.name] = draw(st.lists(_values(field, depth), max_size=_ELEMENTS))
        else:
            chosen[field.name] = draw(_values(field, depth))
    return chosen


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map, which on the wire is a list of entries."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def _build(kind: type[Built], fields: dict[str, Any]) -> Built:
    message = kind()
    for name, value in fields.items():
        field = kind.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        if is_map(field):
            inner = field.message_type.fields_by_name["value"]
            for key, each in value.items():
                if inner.type == FieldDescriptor.TYPE_MESSAGE:
                    target[key].CopyFrom(_build(_class_of(inner), each))
                else:
                    target[key] = each
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.is_repeated:
                target.extend(_build(_class_of(field), each) for each in value)
            else:
                target.CopyFrom(_build(_class_of(field), value))
                target.SetInParent()
        elif field.is_repeated:
            target.extend(value)
        else:
            setattr(message, name, value)
    return message


def _class_of(field: FieldDescriptor) -> type[Message]:
    return GetMessageClass(field.message_type)
