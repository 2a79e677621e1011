"""The kinds of value that fields of the models have: how they are written in YAML, and how code states them.

A duration is written "30s" and is 30.0 in code; a model made from YAML (pydantic's JSON mode) takes only the first form, a
model made in code takes both. `patternErrorMessage` and `errorMessage` are what an editor shows and what our own message
says after the field's name.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {
    f"{letter}{suffix}": base**power for suffix, base in (("iB", 1024), ("B", 1000)) for power, letter in enumerate("KMGT", 1)
}
_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])")
_DURATION = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|[smhd]))+$"
_DURATION_NOT_ZERO = r"^(?=.*[1-9])([0-9]{1,9}(\.[0-9]{1,9})?(ms|[smhd]))+$"
_SIZE = r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?[KMGT]i?B$"
_RATE = r"^[1-9][0-9]{0,8}/[smhd]$"
#: Below 1000 of most currencies, below a million of those whose unit is small: a point that was forgotten is refused.
_PRICE = (
    r"^(?=[0-9.]*[1-9])([0-9]{1,3}(\.[0-9]{1,4})? [A-Z]{3}"
    r"|[0-9]{1,6}(\.[0-9]{1,4})? (CLP|COP|HUF|IDR|IRR|ISK|JPY|KRW|NGN|TZS|UGX|VND))$"
)
_PRICE_FORM = "must be the price of one GPU for an hour such as 2.49 EUR, more than nothing and less than 1000"
_PORTS = r"^[0-9]{1,5}-[0-9]{1,5}$"


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wanted", "{message}", {"message": message})


def _fits(pattern: str, value: str) -> bool:
    return "\n" not in value and re.search(pattern, value) is not None


def _duration(pattern: str) -> BeforeValidator:
    def parse(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            if not _fits(pattern, value):
                raise _wrong("must be a duration such as 30s, 5m or 1h")
            return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
        if info.mode == "json":
            raise _wrong("must be a duration such as 30s, 5m or 1h")
        return value

    return BeforeValidator(parse)


def _size(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        if not _fits(_SIZE, value):
            raise _wrong("must be a size such as 64GiB or 512MiB")
        number = value.rstrip("KMGTiB")
        return int(float(number) * _SIZES[value[len(number) :]])
    if info.mode == "json":
        raise _wrong("must be a size such as 64GiB or 512MiB")
    return value


def _rate(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and _fits(_RATE, value):
        number, _, unit = value.partition("/")
        return (int(number), _UNITS[unit])
    if isinstance(value, str) or info.mode == "json":
        raise _wrong("must be a rate such as 60/m, 5/s or 1000/h")
    return value


def _ports(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and _fits(_PORTS, value):
        first, last = (int(part) for part in value.split("-"))
        if 1024 <= first <= last <= 65535:
            return (first, last)
        raise _wrong("must be a range between 1024 and 65535, the smaller port first")
    if isinstance(value, str) or info.mode == "json":
        raise _wrong("must be a range of ports such as 20000-20999")
    return value


def _price(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and _fits(_PRICE, value):
        number, _, currency = value.partition(" ")
        return (float(number), currency)
    if isinstance(value, str) or info.mode == "json":
        raise _wrong(_PRICE_FORM)
    return value


def _written(pattern: str, form: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "patternErrorMessage": form})


def text(pattern: str, form: str, longest: int | None = None) -> Any:
    """Annotation for a string of one form; `form` completes "<field> must be …"."""
    extra: dict[str, Any] = {"patternErrorMessage": f"must be {form}"}
    return Field(pattern=pattern, max_length=longest, json_schema_extra=extra)


class NotYet:
    """Marks a field, or some of its values, whose effect a later version brings: refused aloud, never ignored."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse, handler(source))

    def _refuse(self, value: Any) -> Any:
        if self.values and value not in self.values:
            return value
        if value is None:
            return value
        raise PydanticCustomError("later", "is not supported yet")

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if not self.values:
            return {"not": {}, "errorMessage": "is not supported yet"}
        given = dict(handler.resolve_ref_schema(handler(schema)))
        given["enum"] = [value for value in given["enum"] if value not in self.values]
        return given


def _no_range(value: Any) -> Any:
    if isinstance(value, dict):
        raise PydanticCustomError("later", "a range is not supported yet, write a number")
    return value


def exactly_one(*names: str) -> dict[str, Any]:
    """What JSON Schema says of a model that must have one of these fields and no other of them."""
    return {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}


def at_least_one(*names: str) -> dict[str, Any]:
    """What JSON Schema says of a model that must have one of these fields, or several."""
    return {"anyOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}


def count_given(model: Any, names: tuple[str, ...]) -> int:
    """How many of these fields of a model were given."""
    return sum(getattr(model, name) is not None for name in names)


Duration = Annotated[float, _duration(_DURATION), _written(_DURATION, "must be a duration such as 30s, 5m or 1h")]
Wait = Annotated[float, _duration(_DURATION_NOT_ZERO), _written(_DURATION_NOT_ZERO, "must be a duration such as 30s, 5m or 1h")]
Size = Annotated[int, BeforeValidator(_size), _written(_SIZE, "must be a size such as 64GiB or 512MiB")]
Rate = Annotated[tuple[int, float], BeforeValidator(_rate), _written(_RATE, "must be a rate such as 60/m, 5/s or 1000/h")]
PortRange = Annotated[tuple[int, int], BeforeValidator(_ports), _written(_PORTS, "must be a range of ports such as 20000-20999")]
Price = Annotated[tuple[float, str], BeforeValidator(_price), _written(_PRICE, _PRICE_FORM)]
Share = Annotated[str, text(r"^(100|[1-9]?[0-9])%$", "a share from 0% to 100%")]
GpuShare = Annotated[str, text(r"^[1-9][0-9]?%$", "a share of a GPU from 1% to 99%, such as 30%")]
Keep = Annotated[int, Field(ge=1, le=1000)]
CanaryShare = Annotated[str, text(r"^([1-9]|[1-4][0-9]|50)%$", "a share from 1% to 50%")]
Replicas = Annotated[int, Field(ge=1, le=10000), BeforeValidator(_no_range)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[
    str, text(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "small letters, digits and inner hyphens, at most 40 of them", longest=40)
]
CatalogName = Annotated[
    str,
    text(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "small letters, digits and inner hyphens and dots, at most 60 of them", longest=60),
]
Parameters = Annotated[
    str, text(r"^(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,3}(\.[0-9]{1,3})?)[MBT]$", "a number of parameters such as 8.2B or 335M")
]
FileSize = Annotated[
    str, text(r"^(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,3}(\.[0-9]{1,3})?)[MGT]B$", "a size of files such as 16.4GB or 298MB")
]
Line = Annotated[str, text(r"^[^\x00-\x1f\x7f]+$", "one line of text")]
FilePath = Annotated[str, text(r"^[^\x00-\x1f\x7f]+$", "a path")]
AbsolutePath = Annotated[str, text(r"^/[^\x00-\x1f\x7f]*$", "a path that starts with /")]
GgufFile = Annotated[str, text(r"^[A-Za-z0-9_][A-Za-z0-9 ._+/-]*\.gguf$", "the name of a .gguf file", longest=200)]
Url = Annotated[str, text(r"^https?://[^\s/@]+(/\S*)?$", "an address such as https://example.org/simple, without a password")]
Proxy = Annotated[str, text(r"^(https?|socks5h?)://[^\s/@]+/?$", "an address such as http://proxy:3128, without a password")]
HeaderName = Annotated[str, text(r"^[A-Za-z][A-Za-z0-9-]*$", "the name of a header", longest=64)]
EnvName = Annotated[str, text(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable")]
Tag = Annotated[str, text(r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", "one word of letters, digits and . _ : / -", longest=63)]
Sha256 = Annotated[str, text(r"^[0-9a-f]{64}$", "a sha256: 64 digits from 0 to 9 and a to f")]
Repo = Annotated[
    str, text(r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$", "a repository such as org/name", longest=200)
]
GitRevision = Annotated[str, text(r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$", "a branch, a tag or a commit", longest=200)]
Address = Annotated[str, text(r"^[A-Za-z0-9_\[:][A-Za-z0-9_.:%\]-]*$", "a host name or an IP address", longest=255)]
User = Annotated[str, text(r"^[A-Za-z0-9_][A-Za-z0-9_.+\\@-]*$", "the name of a user", longest=64)]
Jump = Annotated[str, text(r"^[A-Za-z0-9_][A-Za-z0-9_.+\\@:%\[\]-]*$", "the name of another host, or user@address", longest=255)]
HostKey = Annotated[
    str, text(r"^[a-z][a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [^\x00-\x1f\x7f]*)?$", "a key such as 'ssh-ed25519 AAAA…'")
]
GpuUuid = Annotated[str, text(r"^(GPU|MIG)-[A-Za-z0-9/-]+$", "a UUID such as GPU-5c2b…")]
Target = Annotated[str, text(r"^3\.[0-9]{1,2}/(x86_64|aarch64)/glibc-2\.[0-9]{1,2}$", "a target such as 3.11/x86_64/glibc-2.36")]
Network = Annotated[
    str,
    text(
        r"^(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(/(3[0-2]|[12]?[0-9]))?$",
        "an IPv4 network such as 10.0.0.0/8",
    ),
]
FleetId = Annotated[str, text(r"^[0-9a-z]{6,32}$", "6 to 32 small letters and digits (`init` makes one)")]
Later = Annotated[Any, NotYet()]
