"""Scenario files: the flows, their past, and what will happen to them.

Owns their shape and strict loading. Every duration is in simulated seconds. A
file may begin with `as: NAME`: each key that it does not have itself is as in
that scenario.
"""

import json
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from simulator.behaviour import BehaviourWords
from simulator.strict import Duration, Rate, Ratio, Text, Words
from simulator.vocabulary import Event, ObjectSpec, Settings, Switches


class ScenarioError(Exception):
    """The scenario cannot be used; the message names every problem with its path."""


class VersionSpec(BehaviourWords):
    """A version that was published before the simulation starts; how its calls go is as in a good one, if not said."""

    version: Text
    published_ago: Annotated[float, Field(gt=0.0)]
    error_ratio: Ratio = 0.01
    by: Text = "cx-as-code"
    content: Text | None = None  # versions with the same one are the same thing; without one it has its own


class Division(Words):
    id: Text
    name: Text


class FlowSpec(Words):
    """A flow; the version published last is live at the start.

    `good_call`, `bad_call` and `stuck_call` are mean durations.
    """

    id: Text
    name: Text
    type: Annotated[str, Field(pattern="^[a-z]+$")]  # lower case, as analytics have it
    division: Division = Division(id="d62836e8-ff2a-43ee-bcf6-dc9d8b9e89a0", name="Home")
    calls_per_min: Rate
    good_call: Annotated[float, Field(gt=0.0)] = 90.0
    bad_call: Annotated[float, Field(gt=0.0)] = 20.0
    stuck_call: Annotated[float, Field(gt=0.0)] = 1200.0
    uses: tuple[Text, ...] = ()  # ids of the common modules that all its versions use
    versions: Annotated[tuple[VersionSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _versions_are_told_apart(self) -> "FlowSpec":
        _require_unique((spec.version for spec in self.versions), "version")
        _require_unique((spec.published_ago for spec in self.versions), "published_ago")
        return self

    def history(self) -> tuple[VersionSpec, ...]:
        """The versions, earliest published first."""
        return tuple(sorted(self.versions, key=lambda spec: -spec.published_ago))


class Client(Words):
    """An OAuth client; a read-only one lacks whatever writes, another one the permissions in `lacks`."""

    id: Text
    secret: Text
    name: Text
    read_only: bool = False
    lacks: tuple[Text, ...] = ()


class Access(Words):
    """Who may call, how long a token lives, and how much is allowed per minute."""

    clients: tuple[Client, ...] = (Client(id="simulator", secret="simulator", name="simulator"),)  # noqa: S106
    expires_in: Annotated[float, Field(gt=0.0)] = 86_400.0
    requests_per_min: Annotated[int, Field(ge=1)] = 300
    tokens_per_min: Annotated[int, Field(ge=1)] = 300


class Moment(Words):
    """Something that happens `at` seconds after the start."""

    at: Duration
    do: Event


def _in_order(timeline: tuple[Moment, ...]) -> tuple[Moment, ...]:
    return tuple(sorted(timeline, key=lambda moment: moment.at))


class Scenario(Words):
    description: Text
    flows: Annotated[tuple[FlowSpec, ...], Field(min_length=1)]
    objects: tuple[ObjectSpec, ...] = ()
    settings: Settings = Settings()
    switches: Switches = Switches()
    access: Access = Access()
    conversation_error_ratio: Ratio = 0.002  # conversations that meet an error outside any flow
    timeline: Annotated[tuple[Moment, ...], AfterValidator(_in_order)] = ()

    @model_validator(mode="after")
    def _flows_exist(self) -> "Scenario":
        known = [flow.id for flow in self.flows]
        _require_unique(known, "flow id")
        unknown = {used for flow in self.flows for used in flow.uses} - set(known)
        if unknown:
            raise ValueError(f"uses: no flow has the id {', '.join(sorted(unknown))}")
        _require_unique(((one.type, one.id) for one in self.objects), "object")
        strangers = {met.flow for one in self.objects for met in one.while_changed} - set(known)
        if strangers:
            raise ValueError(f"while_changed: no flow has the id {', '.join(sorted(strangers))}")
        for moment in self.timeline:
            flow = getattr(moment.do, "flow", None)
            if flow is not None and flow not in known:
                raise ValueError(f"timeline: no flow has the id {flow}")
        return self


def _require_unique(values: Iterable[object], what: str) -> None:
    listed = list(values)
    twice = {str(value) for value in listed if listed.count(value) > 1}
    if twice:
        raise ValueError(f"{what} given twice: {', '.join(sorted(twice))}")


def names() -> list[str]:
    """The scenarios that come with the simulator."""
    return sorted(Path(entry.name).stem for entry in _shipped().iterdir() if entry.name.endswith(".yml"))


def load(name_or_path: str) -> Scenario:
    """The scenario of that name, or in that file. Raises `ScenarioError` with every problem at once."""
    if name_or_path in names():
        return parse(_shipped_text(name_or_path))
    try:
        text = Path(name_or_path).read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(names())
        raise ScenarioError(f"{name_or_path} is neither a scenario ({known}) nor a file: {error.strerror}") from error
    return parse(text)


def parse(text: str) -> Scenario:
    """The scenario in a YAML text; what it does not say itself is as in the scenario that its `as` names."""
    data = _read(text)
    try:
        # As JSON: strict, yet lists may stand for the tuples of the frozen scenario.
        return Scenario.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise ScenarioError(explain(error)) from error


def _read(text: str) -> Any:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"not YAML: {error}") from error
    if not isinstance(data, dict) or "as" not in data:
        return data
    name = data.pop("as")
    if name not in names():
        raise ScenarioError(f"as: {name} is not one of {', '.join(names())}")
    return {**_read(_shipped_text(name)), **data}


def explain(error: ValidationError) -> str:
    """Every problem of a validation in one line each: path, then what is wrong."""
    return "\n".join(
        f"{'.'.join(str(step) for step in problem['loc']) or 'document'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )


def _shipped_text(name: str) -> str:
    return (_shipped() / f"{name}.yml").read_text(encoding="utf-8")


def _shipped() -> Traversable:
    return files("simulator") / "scenarios"
