"""The words of scenario files and of the control API: events, faults, cues, settings, switches.

Strict: an unknown key is an error. Every duration is in simulated seconds.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from simulator.behaviour import BehaviourWords
from simulator.strict import Duration, Rate, Ratio, Text, Words


class Match(Words):
    """Which requests are meant; what is left out matches everything."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    path_prefix: str = "/"

    def meets(self, method: str, path: str) -> bool:
        return self.method in (None, method) and path.startswith(self.path_prefix)


class Fault(Words):
    """What goes wrong with the requests that `match`.

    It ends after `times` requests or after `for_s`, whichever comes first; with
    neither it stays. With `probability` it meets only that share of them.

    status            answers `status` instead of doing anything
    status_after      does it, then answers `status`
    throttle          answers 429 with `Retry-After` instead of doing anything: in seconds, or with `as_date` as a date
    drop_before       closes the connection without an answer, and does nothing
    drop_after        does it, then closes the connection without an answer
    slow              does it, then waits `delay_s` before it answers
    hang              waits `delay_s`, then closes the connection without an answer, and does nothing
    truncated         does it, then answers only the first half of the body
    down              closes every connection without an answer

    The others meet only requests of their kind, whatever else `match` lets through:

    silent_analytics  answers analytics queries as if nothing had happened
    analytics_lag     answers them as if nothing had happened in the newest `lag_s`
    stale_reads       shows flows and versions as they were `age_s` ago
    frozen_reads      shows them as they were when the fault was set
    publish_late      closes the connection without an answer, and does it `delay_s` later
    publish_nothing   answers a publish with 200, and does nothing at all
    publish_fails     starts the operation, which ends in FAILURE
    publish_hangs     starts the operation, which never completes
    export_fails      takes the export job, which ends in Failure
    export_hangs      takes the export job, which never ends
    upload_late       closes the connection without an answer, and takes the file `delay_s` later
    upload_refused    answers 403 to the file, and does nothing
    deploy_nothing    takes the file; the job ends in Success, and there is no new version
    deploy_fails      takes the file; the job ends in Failure
    deploy_hangs      takes the file; the job never ends
    object_nothing    answers the write of a configuration object as if it were done, and does nothing
    """

    kind: Literal[
        "status",
        "status_after",
        "throttle",
        "drop_before",
        "drop_after",
        "slow",
        "hang",
        "truncated",
        "down",
        "silent_analytics",
        "analytics_lag",
        "stale_reads",
        "frozen_reads",
        "publish_late",
        "publish_nothing",
        "publish_fails",
        "publish_hangs",
        "export_fails",
        "export_hangs",
        "upload_late",
        "upload_refused",
        "deploy_nothing",
        "deploy_fails",
        "deploy_hangs",
        "object_nothing",
    ]
    match: Match = Match()
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Duration | None = None
    as_date: bool = False
    delay_s: Duration | None = None
    lag_s: Duration | None = None
    age_s: Duration | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Ratio = 1.0
    for_s: Duration | None = None

    @model_validator(mode="after")
    def _each_kind_has_its_own_words(self) -> "Fault":
        own = {
            "status": ("status", "status_after"),
            "retry_after": ("throttle",),
            "delay_s": ("slow", "hang", "publish_late", "upload_late"),
            "lag_s": ("analytics_lag",),
            "age_s": ("stale_reads",),
        }
        for word, kinds in own.items():
            given = getattr(self, word) is not None
            if given and self.kind not in kinds:
                raise ValueError(f"{word} belongs to kind {' or '.join(kinds)}, not to {self.kind}")
            if not given and self.kind in kinds:
                raise ValueError(f"kind {self.kind} needs {word}")
        if self.as_date and self.kind != "throttle":
            raise ValueError(f"as_date belongs to kind throttle, not to {self.kind}")
        if self.kind == "down" and self.match != Match():
            raise ValueError("kind down meets every request: leave match out, or use drop_before")
        return self


class Settings(Words):
    """How Genesys Cloud behaves; may be changed while it runs.

    A report of something that happened shows after `analytics_latency` plus up
    to `analytics_jitter`; a share of `analytics_late_ratio` comes up to
    `analytics_late` later still, and corrects buckets that were read before.
    An audit entry shows after `audit_latency`. `others_per_min` requests of other people count against each token's
    limit too.
    """

    publish_time: Duration = 4.0
    effect_delay: Duration = 3.0
    export_time: Duration = 4.0
    deploy_time: Duration = 30.0
    analytics_latency: Duration = 20.0
    analytics_jitter: Duration = 20.0
    analytics_late_ratio: Ratio = 0.01
    analytics_late: Duration = 120.0
    audit_latency: Duration = 2.0
    others_per_min: Annotated[int, Field(ge=0)] = 0


class Switches(Words):
    """What nobody has proved on a live organization yet: how this one decides it; may be changed while it runs.

    republish           publishing an older version: works | is refused with 400 | answers 200, the operation ends
                        in SUCCESS, and the version that was live stays live
    date_published      of a version that is made live again: moves to that moment | stays what it was the first time
    n_flow_exit_reason  whether `nFlow` carries the exit reason of its call, and its transfer (here also while the call
                        goes on)
    transfer_target     of exits that are transfers: the name and the address of the target are given | only the
                        address | neither
    outcome_version     whether the metrics of outcomes carry `flowVersion`
    action_no_error     the `errorType` of a data action that worked: is `NONE` | is absent
    unset_dimensions    whether what has no value of a dimension that is grouped by is told, without that key
    action_views        views of data actions: work | are ignored | are refused with 400
    extra_group_keys    whether groups carry `mediaType` where nobody asked for it
    published_after     `publishedAfter` and `publishedBefore`: work | are ignored | are refused with 400
    configuration       what a version contains: is given | is given with the version's own label in it, so that no two
                        are the same | is refused with 403 | is absent, 404
    dependency_tracking which flows use a common module: is known | is out of date, and the list empty | was never built
    guide_metrics       the dialect `guide` answers with the one metric asked for | with both
    guide_dates         whether its versions have `datePublished` and `datePublishedEnd`, as in `platform`
    """

    republish: Literal["works", "refused", "nothing"] = "works"
    date_published: Literal["moves", "stays"] = "moves"
    n_flow_exit_reason: bool = False
    transfer_target: Literal["named", "address", "absent"] = "named"
    outcome_version: bool = True
    action_no_error: Literal["none", "absent"] = "none"
    unset_dimensions: bool = True
    action_views: Literal["works", "ignored", "refused"] = "works"
    extra_group_keys: bool = True
    published_after: Literal["works", "ignored", "refused"] = "works"
    configuration: Literal["given", "labelled", "refused", "absent"] = "given"
    dependency_tracking: Literal["works", "stale", "absent"] = "works"
    guide_metrics: Literal["one", "both"] = "one"
    guide_dates: bool = False


class _FlowEvent(Words):
    flow: Text


class Publish(_FlowEvent, BehaviourWords):
    """Somebody else publishes: live at once, whatever lock or operation there is.

    A version that does not exist yet is created and needs `error_ratio`; for
    one that exists `error_ratio` replaces its own. `content` is for a new one: what it contains, if not its own.
    How its calls go is as in the version that is live before it, or as in itself if it exists, but for what is said.
    """

    event: Literal["publish"]
    version: Text
    error_ratio: Ratio | None = None
    content: Text | None = None
    by: Text = "cx-as-code"
    person: bool = False  # whether `by` is a user, and no OAuth client, in the audit


class ErrorRatio(_FlowEvent):
    """From now on calls that start on `version` fail at `error_ratio`."""

    event: Literal["error_ratio"]
    version: Text
    error_ratio: Ratio


class CallsPerMin(_FlowEvent):
    """From now on callers arrive at this rate."""

    event: Literal["calls_per_min"]
    calls_per_min: Rate


class Call(_FlowEvent):
    """One caller enters now, and ends well or badly, as told."""

    event: Literal["call"]
    fails: bool


class Lock(_FlowEvent):
    """A user opens the flow in Architect and keeps it locked."""

    event: Literal["lock"]
    by: Text = "architect-user"


class Unlock(_FlowEvent):
    event: Literal["unlock"]


class Deactivate(_FlowEvent):
    """The flow goes out of service: no new callers."""

    event: Literal["deactivate"]


class Activate(_FlowEvent):
    event: Literal["activate"]


class DeleteVersion(_FlowEvent):
    """The version is gone: 404, and no longer listed. The live one cannot be deleted."""

    event: Literal["delete_version"]
    version: Text


class DeleteFlow(_FlowEvent):
    """The flow is deleted: no callers, and publishing it answers 410."""

    event: Literal["delete_flow"]


class Change(Words):
    """Somebody changes something that is no flow: only the audit tells of it. Without `entity_id` the name gives one.

    With `late_s` its audit entry shows that much later than others do.
    """

    event: Literal["change"]
    service: Text
    entity_type: Text
    entity_name: Text
    entity_id: Text | None = None
    action: Text = "Update"
    status: Literal["SUCCESS", "FAILURE", "WARNING"] = "SUCCESS"
    by: Text = "cx-as-code"
    person: bool = False
    application: Text | None = None
    late_s: Duration = 0.0


ObjectType = Literal["data_table", "data_action", "ivr", "schedule", "schedule_group", "emergency_group", "queue"]


def _has_key(row: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(row.get("key"), str) or not row["key"]:
        raise ValueError("a row needs a key")
    return row


Row = Annotated[dict[str, Any], AfterValidator(_has_key)]


class Impairment(Words):
    """What the callers of a flow meet while an object is not as the scenario has it.

    `error_ratio` of them fail, the executions of its data action `action` fail at `failed_ratio`, and they arrive
    at `calls_per_min`; what is left out is as ever.
    """

    flow: Text
    error_ratio: Ratio = 0.0
    action: Text | None = None
    failed_ratio: Ratio = 0.0
    calls_per_min: Rate | None = None


class ObjectSpec(Words):
    """A configuration object that is no flow, with the fields of its answer; `rows` are a data table's, by `key`."""

    type: ObjectType
    id: Text
    name: Text
    fields: dict[str, Any] = Field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    while_changed: tuple[Impairment, ...] = ()


class _ObjectEvent(Words):
    type: ObjectType
    id: Text
    by: Text = "cx-as-code"
    person: bool = False
    application: Text | None = None


class ChangeObject(_ObjectEvent):
    """Somebody gives an object other fields, and a data table more rows or others of the same key; the audit tells.

    Rows whose keys are `removed` are there no more.
    """

    event: Literal["change_object"]
    fields: dict[str, Any] = Field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    removed: tuple[Text, ...] = ()


class DeleteObject(_ObjectEvent):
    """Somebody deletes an object: 404 from now on; the audit tells."""

    event: Literal["delete_object"]


class SetFaults(Words):
    """Replaces the list of faults."""

    event: Literal["faults"]
    faults: tuple[Fault, ...]


class ExpireTokens(Words):
    """Every token issued so far stops working."""

    event: Literal["expire_tokens"]


FlowEvent = Publish | ErrorRatio | CallsPerMin | Lock | Unlock | Deactivate | Activate | DeleteVersion | DeleteFlow
AnyEvent = FlowEvent | Call | Change | ChangeObject | DeleteObject | SetFaults | ExpireTokens
Event = Annotated[AnyEvent, Field(discriminator="event")]


class Cue(Words):
    """Something happens because of a request: `do`, right before or after the request that `match` is handled.

    The first `skip` matching requests are let pass; then each of `times` brings
    it about. With `delay_s` it happens that much later.
    """

    match: Match
    when: Literal["before", "after"]
    do: Event
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] = 1
    delay_s: Duration = 0.0


EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Event)
FAULTS: TypeAdapter[tuple[Fault, ...]] = TypeAdapter(tuple[Fault, ...])
CUES: TypeAdapter[tuple[Cue, ...]] = TypeAdapter(tuple[Cue, ...])
