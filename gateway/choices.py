"""The words that a field of the request takes, where it takes one of a few: msgspec names the wrong one alone."""

import re

from msgspec.inspect import (
    EnumType,
    ListType,
    LiteralType,
    Metadata,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

_NAME = re.compile(r"[A-Za-z_]\w*")


def choices(request: type, path: str) -> tuple[str, ...]:
    """What may stand at `path` (`output.format`, `options.runware.lora[0].model`); empty where it is no such field."""
    kinds = _plain(type_info(request))
    for name in _NAME.findall(path):
        structs = [kind for kind in kinds if isinstance(kind, StructType)]
        fields = [field for struct in structs for field in struct.fields if field.encode_name == name]
        kinds = [kind for field in fields for kind in _plain(field.type)]
    return tuple(word for kind in kinds for word in _words(kind))


def _plain(kind: Type) -> list[Type]:
    """`kind` without what surrounds it: alternatives, lists and annotations."""
    match kind:
        case UnionType():
            return [plain for inner in kind.types for plain in _plain(inner)]
        case ListType() | VarTupleType():
            return _plain(kind.item_type)
        case Metadata():
            return _plain(kind.type)
        case _:
            return [kind]


def _words(kind: Type) -> list[str]:
    match kind:
        case EnumType():
            return [str(member.value) for member in kind.cls]
        case LiteralType():
            return [str(value) for value in kind.values]
        case _:
            return []
