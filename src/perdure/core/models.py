"""Pydantic models, found by the annotation or by the value's class. Pydantic itself is never imported here.

A class can only be a model of it where its own module has imported it.
"""

import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin


def is_model(kind: Any) -> bool:
    """Whether a class is a Pydantic model."""
    pydantic: Any = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def dumped(model: Any) -> Any:
    """A model as JSON values that it can be made of again: by the names of its fields, without computed ones."""
    return model.model_dump(mode="json", by_alias=False, round_trip=True)


def parsed(kind: Any, data: bytes) -> Any:
    """A model of its JSON, checked by its own rules; fields may go by their aliases. Raises ValueError."""
    return _validated(lambda: kind.model_validate_json(data, by_alias=True, by_name=True))


def adapter(expected: Any) -> Callable[[bytes], Any] | None:
    """A decoder by Pydantic's own rules for an annotation with models in it, such as a union of them; else None."""
    if not _mentions_model(expected):
        return None
    pydantic: Any = sys.modules["pydantic"]
    try:
        decode = pydantic.TypeAdapter(expected, config=pydantic.ConfigDict(val_json_bytes="base64")).validate_json
    except pydantic.PydanticUserError:
        # Something in it is none of Pydantic's types.
        return None
    return lambda data: _validated(lambda: decode(data, by_alias=True, by_name=True))


def _mentions_model(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated or origin is Union or origin is types.UnionType or not is_model(annotation):
        return any(_mentions_model(each) for each in get_args(annotation))
    return True


def _validated(validate: Callable[[], Any]) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    try:
        return validate()
    except pydantic.ValidationError as error:
        # Its own text has many lines, and repeats the values.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError("; ".join(f"{each['msg']} at {_path(each['loc'])}" for each in found)) from None


def _path(places: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in places)
