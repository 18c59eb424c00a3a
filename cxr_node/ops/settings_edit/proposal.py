"""Proposal of an edit of the settings file: checked as at a start, with its differences, before it is written."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node import config
from cxr_node.audit.events import SECURITY_CONFIGURATION
from cxr_node.config import ConfigurationError, Loaded
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.ops import operator_log, preflight
from cxr_node.ops.settings_edit.masking import difference, masked
from cxr_node.ops.settings_edit.rows import RowEdit, edited, location_of, row_text, rows_of
from cxr_node.ops.settings_edit.settings_file import EditRefused, FileText, SettingsFile
from cxr_node.settings.differences import differences, is_reloadable
from cxr_node.settings.places import named_key
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A new text of the settings file: its differences, and what is wrong with it.

    `row` are the lines of the edited row, to be pasted. `field_problems` are those of the edited row, by its settings,
    such as when.views; `problems` are all others. `keys` are the settings that it changes.
    """

    before: FileText
    text: str
    diff: str
    row: str = ""
    loaded: Loaded | None = None
    keys: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    field_problems: tuple[tuple[str, str], ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether a node would start with it."""
        return self.loaded is not None and not self.problems and not self.field_problems

    @property
    def digest(self) -> Digest:
        """Digest of the new text."""
        return digest_of(self.text.encode())

    @property
    def reloaded_keys(self) -> tuple[str, ...]:
        """The changed settings that running roles take up."""
        return tuple(key for key in self.keys if is_reloadable(key))

    @property
    def restart_keys(self) -> tuple[str, ...]:
        """The changed settings that need a restart."""
        return tuple(key for key in self.keys if not is_reloadable(key))


def settings_file(process: Process) -> SettingsFile | None:
    """Return the settings file of this process; None if it was started without one."""
    return None if process.loaded is None else file_of(process.settings, process.loaded)


def file_of(settings: Settings, loaded: Loaded) -> SettingsFile:
    """Return the settings file of a node with its kept versions."""
    return SettingsFile(path=loaded.path, versions=settings.node.data_folder / "settings-versions")


def propose(file: SettingsFile, edit: RowEdit, *, running: Loaded | None = None) -> Proposal:
    """Return the proposal of an edit of a row; of an invalid file it is compared with the `running` settings.

    Raises
    ------
    CannotEdit
        If the document cannot be edited in this way.
    EditRefused
        If the file cannot be read, or is not TOML.
    """
    before = file.read()
    try:
        text = edited(before.text, edit)
    except tomllib.TOMLDecodeError as error:
        raise EditRefused(f"{file.path}: not TOML: {error}; correct the file by hand first") from error
    row = masked(row_text(text, edit)) if edit.values is not None else ""
    location = location_of(edit, len(rows_of(text, edit.section, edit.name)))
    return _checked(file, before, text, row=row, row_key=named_key(tomllib.loads(text), location), running=running)


def propose_undo(file: SettingsFile) -> Proposal:
    """Return the proposal to undo the last edit.

    Raises
    ------
    EditRefused
        If no edit is there to be undone, or the file was changed otherwise since.
    """
    before = file.read()
    version = file.undoable(before.digest)
    if version is None:
        raise EditRefused("there is no edit of this page to undo, or the file was changed otherwise since")
    return _checked(file, before, version.text)


def apply(process: Process, file: SettingsFile, proposal: Proposal, *, by: str, is_undo: bool = False) -> None:
    """Write a valid proposal, and record the changed settings, without values, in log and audit trail.

    Raises
    ------
    EditRefused
        If the file was changed since the proposal, or cannot be written.
    """
    if not proposal.is_valid:
        raise EditRefused("settings with which a node would not start are not written")
    if is_undo:
        file.undo(expected=proposal.before.digest)
    else:
        file.replace(proposal.text, expected=proposal.before.digest, keys=proposal.keys, by=by, at=process.clock())
    what = "settings changed back" if is_undo else "settings changed"
    operator_log.record(
        process, f"{what}: {', '.join(proposal.keys)}", subject="settings", by=by, kind=SECURITY_CONFIGURATION
    )


def _checked(
    file: SettingsFile,
    before: FileText,
    text: str,
    *,
    row: str = "",
    row_key: str = "",
    running: Loaded | None = None,
) -> Proposal:
    diff = difference(before.text, text, file.path.name)
    proposal = Proposal(before=before, text=text, diff=diff, row=row)
    present = _loaded(file, before.text) or running
    try:
        loaded = config.read_text(text, file.path)
    except ConfigurationError as error:
        return _with_problems(proposal, error.problems, row_key)
    known = set(_faults(present.settings)) if present is not None else set()
    faults = [fault for fault in _faults(loaded.settings) if fault not in known]
    if faults:
        return _with_problems(proposal, faults, row_key)
    keys = tuple(differences(present.settings, loaded.settings)) if present is not None else ("settings",)
    return Proposal(before=before, text=text, diff=diff, row=row, loaded=loaded, keys=keys)


def _faults(settings: Settings) -> list[str]:
    return [*preflight.faults(settings, tuple(Role)), *preflight.unknown_findings(settings)]


def _loaded(file: SettingsFile, text: str) -> Loaded | None:
    try:
        return config.read_text(text, file.path)
    except ConfigurationError:
        return None


def _with_problems(proposal: Proposal, problems: Sequence[str], row_key: str) -> Proposal:
    """Return the proposal with its problems, those of the edited row without its key."""
    begin = f"{row_key}."
    of_row = [problem for problem in problems if row_key and problem.startswith(begin)]
    fields: list[tuple[str, str]] = []
    for problem in of_row:
        subject, _, sentence = problem.removeprefix(begin).partition(": ")
        names = subject.partition(" (")[0].replace(begin, "").split(" and ")
        fields += [(name, sentence) for name in names]
    others = tuple(problem for problem in problems if problem not in of_row)
    return Proposal(
        before=proposal.before,
        text=proposal.text,
        diff=proposal.diff,
        row=proposal.row,
        problems=others,
        field_problems=tuple(fields),
    )
