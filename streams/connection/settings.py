"""What was given about the connection: a properties file and `MESURA_KAFKA_…` variables, as one value per setting.

Rules of this module
1. A setting is given once: by the file or by a variable, under one of its names. Which of two was meant is not guessed.
2. `MESURA_KAFKA_SASL_PASSWORD_FILE` names a file with the value of `MESURA_KAFKA_SASL_PASSWORD`, and so for every
   setting. An empty variable counts as not set.
3. References to other places are resolved as Kafka's config providers do: `${file:PATH:KEY}`, `${directory:PATH:FILE}`
   and `${env:NAME}`. A value that was read from there is not looked through again.
4. A file that holds a secret is not open to others (`files`); one that only refers to secrets may be.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.connection.errors import ConnectionRefused
from streams.connection.files import read_file, read_secret, refuse_open_to_others
from streams.connection.names import (
    HONOURED,
    OTHER_NAMES,
    PROVIDER_CLASS,
    PROVIDERS,
    SECRETS,
    is_passed_over,
    why_refused,
)
from streams.connection.properties import read_properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE_PREFIX: Final = "MESURA_KAFKA_"
FILE_SUFFIX: Final = "_FILE"

_PROVIDERS: Final = {
    f"org.apache.kafka.common.config.provider.{name}": kind
    for name, kind in (
        ("FileConfigProvider", "file"),
        ("DirectoryConfigProvider", "directory"),
        ("EnvVarConfigProvider", "env"),
    )
}
_REFERENCE: Final = re.compile(r"\$\{([^}:]+):(?:([^}]*):)?([^}:]*)\}")


class Given(NamedTuple):
    """The value of a setting, and where it came from, for errors."""

    value: str
    origin: str


class Settings(NamedTuple):
    given: dict[str, Given]
    """By Kafka's name."""
    passed_over: tuple[str, ...]
    """Names of settings in the file that have no meaning here."""


def variable_of(name: str) -> str:
    """The variable by which a setting may be given."""
    return VARIABLE_PREFIX + name.upper().replace(".", "_")


_BY_VARIABLE: Final = {variable_of(name): name for name in sorted(HONOURED | OTHER_NAMES.keys())}


def read_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """All that was given.

    Raises:
        ConnectionRefused: it cannot be read, or not be understood.
    """
    found: dict[str, Given] = {}
    spelled: dict[str, str] = {}
    passed_over: list[str] = []
    for name, given in (*_of_file(path, environment, passed_over), *_of_environment(environment)):
        own = OTHER_NAMES.get(name, name)
        if own in found:
            other = spelled[own]
            also = f" as `{other}`" if other != name else ""
            raise ConnectionRefused(f"`{name}` is given by {given.origin} and{also} by {found[own].origin}. Keep one.")
        found[own], spelled[own] = given, name
    return Settings(found, tuple(passed_over))


# ---- the file -------------------------------------------------------------------------------------------------------


def _of_file(path: Path | None, environment: Mapping[str, str], passed_over: list[str]) -> Iterator[tuple[str, Given]]:
    if path is None:
        return
    content, mode = read_file(path, "properties file")
    values = read_properties(content, str(path))
    kinds = _kinds(values, path)
    for name, value in values.items():
        if name == PROVIDERS or PROVIDER_CLASS.fullmatch(name):
            continue
        origin = f"{path} (`{name}`)"
        own = OTHER_NAMES.get(name, name)
        if own not in HONOURED:
            if not is_passed_over(name):
                raise ConnectionRefused(f"{path}: {why_refused(name)}.")
            passed_over.append(name)
            continue
        resolved = _resolved(value, kinds, environment, origin)
        if own in SECRETS and _holds_a_secret(own, value):
            refuse_open_to_others(path, "properties file", mode)
        yield name, Given(resolved if own in SECRETS else resolved.strip(), origin)


def _holds_a_secret(name: str, value: str) -> bool:
    """Whether the secret itself stands there, not only a reference to it."""
    if name == "sasl.jaas.config":
        secrets = re.findall(r"(?:password|clientSecret)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;]+)", value)
        return any(not _REFERENCE.fullmatch(each.strip('"')) for each in secrets)
    return bool(value) and not _REFERENCE.fullmatch(value.strip())


def _kinds(values: Mapping[str, str], path: Path) -> dict[str, str]:
    """What each provider does, by the name that references use. Without any given, those of Kafka's documentation."""
    named = [name.strip() for name in values.get(PROVIDERS, "").split(",") if name.strip()]
    classes = {match[1]: values[key] for key in values if (match := PROVIDER_CLASS.fullmatch(key))}
    for key in values:
        if key.startswith(f"{PROVIDERS}.") and not PROVIDER_CLASS.fullmatch(key):
            raise ConnectionRefused(f"{path}: `{key}` is not supported: providers have no parameters here. Remove it.")
    kinds = {kind: kind for kind in _PROVIDERS.values()}
    for name in dict.fromkeys((*named, *classes)):
        kind = _PROVIDERS.get(classes.get(name, "").strip())
        if name not in named or kind is None:
            known = ", ".join(_PROVIDERS)
            raise ConnectionRefused(
                f"{path}: the config provider `{name}` needs its name in {PROVIDERS}, and a class: one of {known}."
            )
        kinds[name] = kind
    return kinds


def _resolved(value: str, kinds: Mapping[str, str], environment: Mapping[str, str], origin: str) -> str:
    """The value, with what its references refer to."""

    def content_of(reference: re.Match[str]) -> str:
        provider, place, key = reference[1], reference[2] or "", reference[3]
        kind = kinds.get(provider)
        if kind is None:
            known = ", ".join(f"${{{each}:…}}" for each in kinds)
            raise ConnectionRefused(f"{origin}: there is no config provider `{provider}`; there are {known}.")
        if kind == "env":
            name = key if not place else ""
            if name not in environment:
                raise ConnectionRefused(f"{origin}: the variable `{name}` that it refers to is not set. Set it.")
            return environment[name]
        if not place or not key:
            form = "${file:/path/of/a.properties:KEY}" if kind == "file" else "${directory:/path:FILE}"
            raise ConnectionRefused(f"{origin}: write the reference as `{form}`.")
        if kind == "directory":
            return read_secret(Path(place) / key, "file")
        content, mode = read_file(Path(place), "properties file")
        refuse_open_to_others(Path(place), "properties file", mode)
        others = read_properties(content, place)
        if key not in others:
            raise ConnectionRefused(f"{origin}: {place} has no `{key}`. Add it, or correct the reference.")
        return others[key]

    return _REFERENCE.sub(content_of, value)


# ---- the environment ------------------------------------------------------------------------------------------------


def _of_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    for variable in sorted(environment):
        value = environment[variable]
        if not variable.startswith(VARIABLE_PREFIX) or not value:
            continue
        name = _BY_VARIABLE.get(variable)
        if name is not None:
            is_secret = OTHER_NAMES.get(name, name) in SECRETS
            yield name, Given(value if is_secret else value.strip(), f"the variable {variable}")
            continue
        name = _BY_VARIABLE.get(variable.removesuffix(FILE_SUFFIX)) if variable.endswith(FILE_SUFFIX) else None
        if name is None:
            raise ConnectionRefused(_about_variable(variable))
        if environment.get(variable.removesuffix(FILE_SUFFIX)):
            raise ConnectionRefused(f"Both {variable.removesuffix(FILE_SUFFIX)} and {variable} are set. Keep one.")
        path = Path(value)
        if OTHER_NAMES.get(name, name) in SECRETS:
            content = read_secret(path, f"file of {variable}")
        else:
            content = read_file(path, f"file of {variable}")[0].decode(errors="replace").strip()
        yield name, Given(content, f"the file of {variable}")


def _about_variable(variable: str) -> str:
    nearest = difflib.get_close_matches(variable.removesuffix(FILE_SUFFIX), _BY_VARIABLE, n=1, cutoff=0.75)
    meant = f": did you mean {nearest[0]}?" if nearest else ". Unset it."
    return f"The variable {variable} names no setting of a connection{meant}"
