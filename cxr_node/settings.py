"""Every setting, once: its key, type, default, unit and meaning. Order is the order of the flow."""

from datetime import date, time
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID
from sqlalchemy.engine import make_url

from cxr_node.domain.commitment import PUSH_MODEL
from cxr_node.domain.identifiers import AeTitle, Digest, parse_ae_title, parse_digest
from cxr_node.domain.radiograph import View
from cxr_node.jobs.turns import LONGEST_HEAD_START_S
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.suitability import Rules
from cxr_node.receive.who import STORAGE_SOP_CLASSES


def _ae_title(text: str) -> AeTitle:
    return parse_ae_title(text)


Title = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the file. Unknown keys are errors: a misspelt setting is not to be passed over in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)


class NodeSection(Section):
    """Who the node is, and where it keeps things."""

    name: str = Field("cxr-node", min_length=1, max_length=16, description="Names this node in results and leases.")
    host: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Names this machine among those that work on one database; empty for its own name.",
    )
    data_folder: Path = Field(
        Path("cxr-node-data"), description="Folder of films, results and, by default, the database."
    )


class DatabaseSection(Section):
    """Where the work is remembered."""

    url: str = Field(
        "", description="SQLAlchemy URL, such as postgresql://user@host/name. Empty: SQLite in the data folder."
    )
    busy_timeout_s: Seconds = Field(30.0, description="How long SQLite waits for another process's write, in seconds.")


Network = IPv4Network | IPv6Network


def _fingerprint(text: str) -> Digest:
    return parse_digest(text.replace(":", "").lower())


def _sop_class(text: str) -> str:
    taken = [UID(uid) for uid in (*STORAGE_SOP_CLASSES, PUSH_MODEL)]
    if text not in taken and text not in [uid.keyword for uid in taken]:
        raise ValueError(f"{text!r} is none of {', '.join(uid.keyword for uid in taken)}")
    return text


class PeerSection(Section):
    """A sender that is let in; with one of these, no other is."""

    ae_title: Title = Field(description="Its AE title.")
    addresses: tuple[Network, ...] = Field(
        (), description="Networks it may come from, as 10.0.7.0/24 or one address; empty for any."
    )
    maximum_associations: int = Field(0, ge=0, description="Its associations at the same time; 0 for no own bound.")
    certificates: tuple[Annotated[str, AfterValidator(_fingerprint)], ...] = Field(
        (), description="SHA-256 fingerprints of the certificates it may show; empty for any that is vouched for."
    )
    sop_classes: tuple[Annotated[str, AfterValidator(_sop_class)], ...] = Field(
        (), description="SOP Classes it may use, by keyword or UID; empty for all. C-ECHO is always answered."
    )
    films_per_minute: int = Field(
        0, ge=0, description="Films it may send in a minute, the rest is refused with 0xA700; 0 for no own bound."
    )


class UserSection(Section):
    """A user name that senders show with its password; with one of these, no association is opened without."""

    name: str = Field(min_length=1, max_length=64, description="User name.")
    password_hash: str = Field(
        pattern=r"^scrypt:\d{1,7}:\d{1,2}:\d{1,2}:[0-9a-f]{32}:[0-9a-f]{64}$",
        description="What `cxr-node config password` prints.",
    )


def _element(text: str) -> str:
    keyword, equals, value = text.partition("=")
    tag = tag_for_keyword(keyword)
    if not equals or not value or tag is None or dictionary_VR(tag) not in _TEXT_VRS:
        raise ValueError(f"{text!r} is no KEYWORD=VALUE of a text element, such as RequestedProcedurePriority=STAT")
    return text


_TEXT_VRS = frozenset({"AE", "CS", "LO", "SH", "UI"})


class UrgentSection(Section):
    """A kind of film that goes first, with its whole study. A film must meet every part that asks for something."""

    head_start_s: int = Field(
        ge=1,
        le=LONGEST_HEAD_START_S,
        description="It goes before what came up to so many seconds earlier, and after what has waited longer.",
    )
    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have sent it.")
    called_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have been called for it.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010) of which one must be its.")
    header: tuple[Annotated[str, AfterValidator(_element)], ...] = Field(
        (), description="Elements of which one must be in its header, as RequestedProcedurePriority=STAT."
    )


class AskerSection(Section):
    """A peer that asks whether its films are kept (storage commitment), and where it is told."""

    ae_title: Title = Field(description="Its AE title.")
    host: str = Field(description="Its address.")
    port: Port = Field(description="The TCP port on which it listens for the answer.")
    timeout_s: Seconds = Field(30.0, description="How long it may take to answer, in seconds.")
    tls_ca: str = Field("", description="PEM file of the authorities that must vouch for it; with it, by TLS only.")
    tls_certificate: str = Field("", description="PEM file of the certificate we show it, if it asks for one.")
    tls_key: str = Field("", description="PEM file of that certificate's key, without a password.")
    tls_check_host: bool = Field(True, description="Whether its certificate must name the host.")


class ReceiveSection(Section):
    """The Application Entity that modalities send to."""

    ae_title: Title = Field("CXRNODE", description="AE title of the node, 1 to 16 characters.")
    host: str = Field("127.0.0.1", description='Address to listen on; "0.0.0.0" for every interface.')
    port: Port = Field(11112, description="TCP port to listen on; 0 takes a free one.")
    require_called_ae_title: bool = Field(
        False, description="Refuse associations that call another AE title than ours."
    )
    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles that may send; empty for any.")
    maximum_associations: int = Field(64, ge=1, description="Associations open at the same time.")
    maximum_pdu_bytes: int = Field(
        131072, ge=4096, le=2**31, description="Largest PDU that peers may send us, in bytes."
    )
    acse_timeout_s: Seconds = Field(30.0, description="How long association set-up and release may take, in seconds.")
    dimse_timeout_s: Seconds = Field(60.0, description="How long a PDU may take to come, in seconds.")
    message_timeout_s: Seconds = Field(
        300.0, description="How long a message may take from its first fragment to its last, in seconds."
    )
    maximum_object_bytes: int = Field(
        2**28, ge=1, description="Largest data set that is taken, in bytes; a larger one is refused with 0xC000."
    )
    network_timeout_s: Seconds = Field(600.0, description="How long an association may be silent, in seconds.")
    association_timeout_s: float = Field(
        86400.0, ge=0, description="How long an association may last altogether, in seconds; 0 for as long as it likes."
    )
    tls_certificate: str = Field(
        "", description="PEM file of our certificate and its chain; with it, only TLS 1.2 and 1.3 are spoken."
    )
    tls_key: str = Field("", description="PEM file of its key, without a password.")
    tls_peers_ca: str = Field(
        "", description="PEM file of the authorities that must vouch for senders; empty: senders show no certificate."
    )
    tls_handshake_timeout_s: Seconds = Field(10.0, description="How long a TLS handshake may take, in seconds.")
    peers: tuple[PeerSection, ...] = Field((), description="Who may send, and from where; empty for anyone.")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that receive, on one port; associations, and films in a minute, are counted in each.",
    )
    path: str = Field(
        "fast",
        pattern=r"^(fast|stock)$",
        description='How films come in: "fast" streams them to the archive, "stock" is the library\'s own way.',
    )
    users: tuple[UserSection, ...] = Field((), description="Who may send by password; empty: nobody is asked for one.")
    askers: tuple[AskerSection, ...] = Field(
        (), description="Where those are told who ask what is kept; others only on the association on which they ask."
    )
    urgent: tuple[UrgentSection, ...] = Field(
        (), description="Films that go first, by who sends them or what their header says; empty for none."
    )


class ArchiveSection(Section):
    """Where films and results are kept: in the data folder, or in a bucket that several hosts share."""

    bucket: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="Bucket of an S3-compatible store to keep films and results in; empty for the data folder.",
    )
    bucket_prefix: str = Field("", pattern=r"^[A-Za-z0-9._/-]{0,200}$", description="What their names begin with.")
    bucket_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S{1,200})?$",
        description="Address of the store; empty for Amazon S3. http:// only on a network that nobody else is on.",
    )
    bucket_region: str = Field("us-east-1", min_length=1, max_length=60, description="Region of the bucket.")
    bucket_timeout_s: Seconds = Field(
        30.0, description="Longest wait for an answer of the store, in seconds; a request is tried three times more."
    )
    reserve_bytes: int = Field(
        2**30,
        ge=0,
        description="Free space kept for the database and results, in bytes; films that would use it are refused.",
    )
    keep_days: float = Field(
        0.0, ge=0, description="Days after which the films and results of delivered studies are removed; 0 for never."
    )
    scrub_bytes_per_second: int = Field(
        2**20,
        ge=0,
        description="Bytes a second of kept files that are read again and held against their digests; 0 for none.",
    )


# The stages' own defaults, said once.
_RULES, _LIMITS = Rules(), Limits()


class GateSection(Section):
    """Which films are read. The others are kept and answered with the reason why they are not."""

    minimum_age_years: float = Field(
        _RULES.minimum_age_years, ge=0, le=120, description="Younger patients' films are not read; 0 reads every age."
    )
    accept_unknown_view: bool = Field(
        _RULES.accept_unknown_view, description="Read chest films that state no view anywhere."
    )
    view_from_model: bool = Field(
        _RULES.view_from_model, description="Take the model's view, where it is certain, for films that state none."
    )
    accept_for_processing: bool = Field(_RULES.accept_for_processing, description="Read DX images For Processing.")
    maximum_pixels: int = Field(
        _LIMITS.maximum_samples,
        ge=1,
        description="Largest Rows x Columns that is decoded; larger ones are refused unread.",
    )
    decode_timeout_s: Seconds = Field(
        _LIMITS.decode_timeout_s, description="How long decoding one film may take, in seconds."
    )


class ReadSection(Section):
    """The model that reads."""

    bundle: str = Field(
        "chest", description="Folder of a bundle (with a slash), or the name of one built in or installed."
    )
    shadow: str = Field(
        "",
        description="A second bundle, named likewise, that reads the same films after the first; nothing of it leaves. "
        "Empty for none.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description='"auto" (GPU if there is one), "cpu", "cuda", "cuda:1".',
    )
    devices: tuple[Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")], ...] = Field(
        (), description='A reader on each of these, such as ["cuda:0", "cuda:1"]; empty for one, on `device`.'
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0 for one per core.")
    engine: Literal["auto", "eager", "channels_last", "openvino"] = Field(
        "auto",
        description='What runs the network on the CPU: "eager" (PyTorch, the reference), "channels_last", "openvino" '
        '(the extra of that name), or "auto": the fastest here whose scores are within 0.001 of the reference\'s.',
    )
    processes: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = Field(
        "auto",
        description='Processes that decode and measure films while others are in the network; "auto" for one per core, '
        "8 at most; 0 for none: one film after the other.",
    )
    lease_s: Seconds = Field(
        300.0, description="How long a reader may hold a film before another takes it, in seconds."
    )
    batch_size: int = Field(
        8, ge=1, le=256, description="The most films that go to a GPU together; on the CPU they go one at a time."
    )
    batch_wait_s: float = Field(
        0.0, ge=0, description="How long a film may wait for others to go to the GPU with, in seconds; 0 not at all."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="What a GPU computes in; the CPU always in float32."
    )
    timeout_s: Seconds = Field(
        120.0,
        description="Reading that takes longer, or as long as lease_s, ends the reader, which starts anew, in seconds.",
    )
    crash_limit: int = Field(2, ge=1, description="A film during which the reader died this often is set aside.")


class ComposeSection(Section):
    """When a study's results are composed."""

    calm_s: float = Field(2.0, ge=0, description="Compose when no film has come for this long, in seconds.")
    ceiling_s: Seconds = Field(
        300.0, description="Compose at the latest this long after the first film came, in seconds."
    )


def _character_set(text: str) -> str:
    if text and text not in python_encoding:
        raise ValueError(f"{text!r} is no defined term of Specific Character Set, such as GB18030 or ISO 2022 IR 87")
    return text


class CharacterSetSection(Section):
    """A sender whose films declare no character set, or a wrong one."""

    ae_title: Title | Literal[""] = Field("", description="Its AE title; empty for every sender without one of these.")
    character_sets: tuple[Annotated[str, AfterValidator(_character_set)], ...] = Field(
        min_length=1, description="Specific Character Set (0008,0005) that its films are really in, whatever they say."
    )


class ReportSection(Section):
    """How results introduce themselves."""

    serial_number: str = Field("1", min_length=1, max_length=64, description="Device Serial Number of this node.")
    language: Literal["en", "zh", "de", "es", "fr", "ja"] = Field(
        "en", description="Language of results. Codes are the same in each; the picture stays English."
    )
    series_number: int = Field(9001, ge=1, description="Series Number of the Structured Reports.")
    character_sets: tuple[CharacterSetSection, ...] = Field(
        (), description="Senders whose films are in another character set than they declare."
    )


class ResultName(StrEnum):
    """What a destination can be sent; see docs/results.md."""

    REPORT = "report"
    REPORT_BEST = "report-best"
    """Not a kind: of report, report-comprehensive, report-enhanced and text the first that the destination takes."""
    REPORT_COMPREHENSIVE = "report-comprehensive"
    REPORT_ENHANCED = "report-enhanced"
    TEXT = "text"
    CHEST_CAD = "chest-cad"
    PICTURE = "picture"
    MARKS = "marks"
    KEY_IMAGES = "key-images"
    SEGMENTATION = "segmentation"


class WhenSection(Section):
    """What a film must be for its study's results to go to a destination. An empty list asks for nothing."""

    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles of which one must have sent it.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010) of which one must be its.")
    views: tuple[View, ...] = Field((), description="Views of which one must be its.")
    findings: tuple[str, ...] = Field((), description="Keys of findings of which one must be present or undetermined.")


_WHEN = Field(WhenSection(), description="Which films' results go there; all, if nothing is asked for.")
_RESULTS = Field((ResultName.REPORT,), min_length=1, description=f"What it is sent, some of: {', '.join(ResultName)}.")


class CStoreSection(Section):
    """A PACS that takes results by C-STORE."""

    kind: Literal["cstore"] = Field("cstore", description="How results travel.")
    name: str = Field(min_length=1, max_length=64, description="What the destination is called here.")
    host: str = Field(description="Its address.")
    port: Port = Field(description="Its TCP port.")
    ae_title: Title = Field(description="Its AE title.")
    calling_ae_title: Title | Literal[""] = Field(
        "", description="How we call ourselves to it; empty: as in [receive]."
    )
    timeout_s: Seconds = Field(30.0, description="How long it may take to answer, in seconds.")
    warning_is_success: bool = Field(False, description="Whether a warning status counts as delivered.")
    confirm: Literal["none", "commitment", "find"] = Field(
        "none", description="How it is asked whether it has what it took: storage commitment, C-FIND, or not at all."
    )
    confirm_wait_s: float = Field(
        5.0, ge=0, description="How long the answer is waited for on the same association, in seconds."
    )
    confirm_again_s: Seconds = Field(60.0, description="When it is asked again if it does not answer, in seconds.")
    tls_ca: str = Field("", description="PEM file of the authorities that must vouch for it; with it, by TLS only.")
    tls_certificate: str = Field("", description="PEM file of the certificate we show it, if it asks for one.")
    tls_key: str = Field("", description="PEM file of that certificate's key, without a password.")
    tls_check_host: bool = Field(True, description="Whether its certificate must name the host.")
    results: tuple[ResultName, ...] = _RESULTS
    when: WhenSection = _WHEN


class FolderSection(Section):
    """A folder that results are written to."""

    kind: Literal["folder"] = Field("folder", description="How results travel.")
    name: str = Field(min_length=1, max_length=64, description="What the destination is called here.")
    folder: Path = Field(description="Where the files go.")
    results: tuple[ResultName, ...] = _RESULTS
    when: WhenSection = _WHEN


DestinationSection = Annotated[CStoreSection | FolderSection, Field(discriminator="kind")]


class DeliverSection(Section):
    """Where results go."""

    lease_s: Seconds = Field(
        300.0, description="How long a sender may hold a result before another takes it, in seconds."
    )
    give_up_hours: float = Field(
        72.0, gt=0, description="How long a destination that is away is tried before a person must look, in hours."
    )
    destinations: tuple[DestinationSection, ...] = Field((), description="Where results go, and which go there.")


def _day(text: str) -> str:
    if text:
        date.fromisoformat(text)
    return text


Day = Annotated[str, AfterValidator(_day)]


class DriftSection(Section):
    """Whether films are read as they were in the reference, by device, each day. docs/behaviour.md has the tests."""

    enabled: bool = Field(True, description="Whether days are counted and judged.")
    reference_films: int = Field(
        1000, ge=50, description="Films of a device that are its reference: its first whole days with a bundle version."
    )
    reference_days: int = Field(7, ge=1, le=365, description="The least days of a reference.")
    reference_from: Day = Field(
        "", description="First day of a declared reference, as 2026-01-31; empty for the first films instead."
    )
    reference_until: Day = Field("", description="Its last day. A bundle version that was not there then has its own.")
    window_days: int = Field(7, ge=1, le=28, description="Newest days that are held against the reference.")
    minimum_films: int = Field(
        50, ge=20, description="Least films on either side; quiet devices are looked at over up to 28 days."
    )
    alpha: float = Field(
        0.01, gt=0, le=0.2, description="Chance that a day on which nothing has changed raises an alarm."
    )
    least_score_effect: float = Field(
        0.1, ge=0, le=1, description="Least distance of the scores' distributions that is drift."
    )
    least_rate_effect: float = Field(
        0.05, ge=0, le=1, description="Least difference of rates, called present or not analysed, that is drift."
    )
    least_turnaround_effect: float = Field(
        0.3, ge=0, le=1, description="Least distance of the distributions of times from film to report that is drift."
    )


def _time_of_day(text: str) -> str:
    if text:
        time.fromisoformat(text)
    return text


class ConstancySection(Section):
    """Phantoms that the node sends itself, to see that it reads them as before. Nothing of them leaves."""

    at: Annotated[str, AfterValidator(_time_of_day)] = Field(
        "", description="When each day, local time, as 05:30; empty for never, but by `cxr-node constancy run`."
    )
    calling_ae_title: Title = Field(
        "CXRCONSTANCY", description="How the node calls itself then; it must be let in as any sender."
    )
    host: str = Field("", description="Address of the node that takes films; empty for this machine.")
    score_tolerance: float = Field(0.01, gt=0, le=1, description="How far a score may be from the accepted one.")
    measurement_tolerance: float = Field(
        0.02, gt=0, le=1, description="How far a measurement may be from the accepted one, as a share of that."
    )
    ratio_tolerance: float = Field(
        0.03, gt=0, le=1, description="How far the cardiothoracic ratio may be from the phantom's own."
    )
    timeout_s: Seconds = Field(300.0, description="How long reading the phantoms may take, in seconds.")
    tls_ca: str = Field("", description="PEM file of the authorities of the node's own certificate, if it wants TLS.")
    tls_certificate: str = Field("", description="PEM file of the certificate shown to it, if it asks for one.")
    tls_key: str = Field("", description="PEM file of that certificate's key, without a password.")
    tls_check_host: bool = Field(True, description="Whether the node's certificate must name the host.")


class AuditSection(Section):
    """The trail of who did what with whose films: DICOM audit messages in files, and to a syslog receiver."""

    enabled: bool = Field(True, description="Whether the trail is kept, in the data folder's audit.")
    associations: bool = Field(
        True, description="Whether accepted associations are recorded; those that are refused always are."
    )
    keep_days: int = Field(
        0, ge=0, description="Days after which a file is removed, once the receiver has it; 0 for never."
    )
    source_id: str = Field("", max_length=64, description="What the trail calls this node; empty: its name.")
    enterprise_site_id: str = Field("", max_length=64, description="What it calls the site, if anything.")
    syslog_host: str = Field("", description="Address of the syslog receiver; empty for none.")
    syslog_port: Port = Field(6514, description="Its TCP port.")
    syslog_transport: Literal["tls", "tcp"] = Field(
        "tls", description='"tls", or "tcp", with which numbers of patients cross the network in the open.'
    )
    tls_ca: str = Field("", description="PEM file of the authorities that must vouch for it.")
    tls_certificate: str = Field("", description="PEM file of the certificate we show it, if it asks for one.")
    tls_key: str = Field("", description="PEM file of that certificate's key, without a password.")
    tls_check_host: bool = Field(True, description="Whether its certificate must name the host.")


class PageUserSection(Section):
    """A person who may log in to the page."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$", description="User name.")
    password_hash: str = Field(
        pattern=r"^scrypt:\d{1,7}:\d{1,2}:\d{1,2}:[0-9a-f]{32}:[0-9a-f]{64}$",
        description="What `cxr-node config password` prints.",
    )
    role: Literal["viewer", "operator"] = Field(
        "viewer", description='"viewer" looks; "operator" may also let jobs run again.'
    )
    sees_films: bool = Field(False, description="Whether films, and what was said of them, are shown to this person.")


class OidcSection(Section):
    """Logins to the page by OpenID Connect, beside web.users: what a person may follows from roles named there."""

    issuer: str = Field(
        "",
        pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?\S*)?$",
        description="The provider's issuer, as it writes it; empty for none. https, or http on this machine.",
    )
    client_id: str = Field("", description="As what this node is registered there.")
    client_secret: str = Field("", description="Its secret; empty for a public client, which PKCE protects alone.")
    redirect_url: str = Field(
        "http://127.0.0.1:8011/login/oidc/back",
        pattern=r"^https?://\S+/login/oidc/back$",
        description="Where browsers come back to: the page's own address and /login/oidc/back, as registered there.",
    )
    label: str = Field("OpenID Connect", max_length=64, description="What the button on the login page names.")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description='What is asked for; "openid" must be there.')
    name_claim: str = Field("preferred_username", description="The claim that is a person's name in the audit trail.")
    roles_claim: str = Field("realm_access.roles", description="The claim with a person's roles; dots lead into it.")
    viewers: tuple[str, ...] = Field((), description="Roles that may look.")
    operators: tuple[str, ...] = Field((), description="Roles that may look, and let jobs run again.")
    see_films: tuple[str, ...] = Field((), description="Roles that are shown films, and what was said of them.")
    tls_ca: str = Field("", description="PEM file of the authorities that must vouch for it; empty: the system's.")


class WebSection(Section):
    """The page for people, its JSON, the metrics and the health checks: one address, in a process of its own."""

    host: str = Field("127.0.0.1", description="Address to listen on; beyond this machine only behind TLS.")
    port: Port = Field(8011, description="TCP port to listen on; 0 takes a free one.")
    secure_cookie: bool = Field(
        False, description="Whether browsers show the session over HTTPS only: set it behind a proxy with TLS."
    )
    session_s: Seconds = Field(28800.0, description="How long a login lasts, in seconds.")
    users: tuple[PageUserSection, ...] = Field((), description="Who may log in; empty: nobody.")


class TraceSection(Section):
    """Traces for an OpenTelemetry collector: the way of each study from C-STORE to delivery, by OTLP over HTTP."""

    endpoint: str = Field(
        "",
        pattern=r"^(https?://\S{1,400})?$",
        description="The collector's address for traces, such as http://127.0.0.1:4318/v1/traces; empty: no traces.",
    )
    headers: tuple[str, ...] = Field((), description='What each request carries, such as "Authorization=Bearer x".')
    timeout_s: Seconds = Field(5.0, le=8.0, description="How long the collector may take to answer, in seconds.")
    every_s: Seconds = Field(5.0, description="How often it is told, in seconds.")


class AlertSection(Section):
    """Who is told, once, when something is wrong: jobs that fail or are stuck, disk, certificates, database."""

    webhook: str = Field(
        "", pattern=r"^(https?://\S{1,400})?$", description="Address that a JSON message is posted to; empty for none."
    )
    mail_to: tuple[str, ...] = Field((), description="Who is sent an e-mail; empty for nobody.")
    mail_from: str = Field("cxr-node@localhost", description="Whom that e-mail is from.")
    mail_host: str = Field("127.0.0.1", description="Mail server.")
    mail_port: Port = Field(25, description="Its TCP port.")
    mail_tls: bool = Field(False, description="Whether the mail server must speak STARTTLS.")
    every_s: Seconds = Field(60.0, description="How often is looked, in seconds.")


class ScheduleSection(Section):
    """The safety net: work is woken when it is committed, and looked for at each tick as well."""

    tick_s: Seconds = Field(5.0, description="How often each role looks for work it was not woken for, in seconds.")


class LogSection(Section):
    """What the node tells while it runs. Logs name jobs, UIDs and AE titles, never patients."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level that is shown.")


class Settings(Section):
    """All settings of a node."""

    node: NodeSection = NodeSection()
    database: DatabaseSection = DatabaseSection()
    receive: ReceiveSection = ReceiveSection()
    archive: ArchiveSection = ArchiveSection()
    gate: GateSection = GateSection()
    read: ReadSection = ReadSection()
    compose: ComposeSection = ComposeSection()
    report: ReportSection = ReportSection()
    deliver: DeliverSection = DeliverSection()
    schedule: ScheduleSection = ScheduleSection()
    drift: DriftSection = DriftSection()
    constancy: ConstancySection = ConstancySection()
    audit: AuditSection = AuditSection()
    web: WebSection = WebSection()
    oidc: OidcSection = OidcSection()
    alert: AlertSection = AlertSection()
    trace: TraceSection = TraceSection()
    log: LogSection = LogSection()

    @property
    def database_url(self) -> str:
        """The database's URL, SQLite in the data folder unless another is set."""
        return self.database.url or f"sqlite:///{self.node.data_folder / 'node.db'}"

    def without_secrets(self) -> "Settings":
        """Return the settings as they may be shown: without the database's password and the hashes of others."""
        shown = make_url(self.database.url).render_as_string() if self.database.url else ""
        users = tuple(user.model_copy(update={"password_hash": "***"}) for user in self.receive.users)
        people = tuple(user.model_copy(update={"password_hash": "***"}) for user in self.web.users)
        return self.model_copy(
            update={
                "database": self.database.model_copy(update={"url": shown}),
                "receive": self.receive.model_copy(update={"users": users}),
                "web": self.web.model_copy(update={"users": people}),
                "oidc": self.oidc.model_copy(update={"client_secret": "***" if self.oidc.client_secret else ""}),
                "trace": self.trace.model_copy(update={"headers": ("***",) if self.trace.headers else ()}),
                "alert": self.alert.model_copy(update={"webhook": "***" if self.alert.webhook else ""}),
            }
        )
