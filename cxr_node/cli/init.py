"""`cxr-node init`: settings and first user of a new node."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.database import read_write_or_new
from cxr_node.cli.doctor import print_checks
from cxr_node.cli.peer_argument import parse_peer
from cxr_node.cli.terminal import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    CommandError,
    ConfigOption,
    out,
    read_password,
    reporting_errors,
)
from cxr_node.config import ConfigurationError
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops import new_settings, operator_log
from cxr_node.ops.checks.doctor import diagnose
from cxr_node.ops.new_settings import Answers, Pacs
from cxr_node.ops.users import UserAdministration, UserProblem
from cxr_node.wiring.process import Process

_DEFAULTS = Answers()
_NONE = "-"
"""Answer to a question that may be left open."""
_LOCAL_ONLY = (
    'films are received from this host only, by anyone on it: to admit modalities, set receive.host = "0.0.0.0" and '
    "[[receive.peers]]"
)


def init(
    path: ConfigOption = DEFAULT_CONFIG,
    ae_title: Annotated[str, typer.Option(help="AE title of the node.")] = _DEFAULTS.ae_title,
    port: Annotated[int, typer.Option(help="TCP port for films.")] = _DEFAULTS.port,
    data_folder: Annotated[
        str, typer.Option(help="Folder of films, results and the SQLite database; relative to the settings file.")
    ] = _DEFAULTS.data_folder,
    pacs: Annotated[str, typer.Option(help="PACS that results go to: AETITLE@HOST:PORT; empty: none yet.")] = "",
    database: Annotated[str, typer.Option(help="URL such as postgresql://user@host/name; empty: SQLite.")] = "",
    user: Annotated[str, typer.Option(help="First user of the page, an operator; empty: none yet.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the options.")] = False,
) -> None:
    """Write the settings of a new node after six questions, and add the first user. Ends with the checks of doctor.

    Nothing is overwritten. With --yes, the password of --user is read from standard input.
    """
    with reporting_errors():
        if path.exists():
            raise CommandError(f"{path} exists, and is not overwritten: name another file with --config")
        options = Answers(ae_title=ae_title, port=port, data_folder=data_folder, database_url=database)
        options = _parsed(_with_pacs, options, pacs or _NONE)
        answers = options if yes else _ask(options)
        answers.settings()
        user = user if yes else _asked_user(user)
        password = _read_password(answers, user, is_asked=not yes) if user else ""
        _write(path, answers)
        if user:
            _add_user(path, user, password)
        has_problem = _check(path)
    out.print(_LOCAL_ONLY, markup=False, soft_wrap=True)
    out.print(f"start the node with: cxr-node run --config {path}", markup=False, soft_wrap=True)
    if has_problem:
        raise typer.Exit(EXIT_FAILED)


def _ask(defaults: Answers) -> Answers:
    """Return the answers of a person to the first five questions."""
    if not _has_terminal():
        raise CommandError("there is no terminal to ask at: give --yes and the options; see `cxr-node init --help`")
    out.print("Six questions. An empty line takes what is in brackets.", markup=False)
    answers = _prompt("1. AE title of this node", defaults, defaults.ae_title, _with_ae_title)
    answers = _prompt("2. TCP port for films", answers, str(defaults.port), _with_port)
    answers = _prompt("3. Folder for films", answers, defaults.data_folder, _with_data_folder)
    while True:
        question = f"4. PACS for results, AETITLE@HOST:PORT ({_NONE}: none yet)"
        answers = _prompt(question, answers, str(answers.pacs or _NONE), _with_pacs)
        if _is_settled(new_settings.pacs_fault(answers)):
            break
    while True:
        question = f"5. Database URL ({_NONE}: SQLite in that folder)"
        answers = _prompt(question, answers, answers.database_url or _NONE, _with_database)
        if _is_settled(new_settings.database_fault(answers)):
            break
    return answers


def _asked_user(default: str) -> str:
    answer = str(typer.prompt(f"6. First user of the page, an operator ({_NONE}: none yet)", default=default or _NONE))
    return "" if answer == _NONE else answer.strip()


def _read_password(answers: Answers, user: str, *, is_asked: bool) -> str:
    """Return the password of the first user, which is asked for until it is accepted."""
    while True:
        password = read_password()
        fault = new_settings.user_fault(answers, user, password)
        if not fault:
            return password
        if not is_asked:
            raise CommandError(fault)
        out.print(fault, markup=False, soft_wrap=True)


def _prompt(question: str, answers: Answers, default: str, change: Callable[[Answers, str], Answers]) -> Answers:
    """Ask until the answer is valid; return the answers with it."""
    while True:
        text = str(typer.prompt(question, default=default)).strip()
        try:
            return _parsed(change, answers, text)
        except (CommandError, ConfigurationError) as error:
            out.print(str(error), markup=False, soft_wrap=True)


def _parsed(change: Callable[[Answers, str], Answers], answers: Answers, text: str) -> Answers:
    """Return the answers with one of them changed; raise CommandError or ConfigurationError if it is not allowed."""
    try:
        changed = change(answers, text)
    except ValueError as error:
        raise CommandError(str(error)) from None
    changed.settings()
    return changed


def _with_ae_title(answers: Answers, text: str) -> Answers:
    return replace(answers, ae_title=text)


def _with_port(answers: Answers, text: str) -> Answers:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no port; expected a number from 1 to 65535")
    return replace(answers, port=int(text))


def _with_data_folder(answers: Answers, text: str) -> Answers:
    return replace(answers, data_folder=text)


def _with_pacs(answers: Answers, text: str) -> Answers:
    if text == _NONE:
        return replace(answers, pacs=None)
    ae_title, host, port = parse_peer(text)
    return replace(answers, pacs=Pacs(ae_title=ae_title, host=host, port=port))


def _with_database(answers: Answers, text: str) -> Answers:
    return replace(answers, database_url="" if text == _NONE else text)


def _is_settled(fault: str) -> bool:
    """Whether an answer is kept: one that works, or one that a person keeps all the same."""
    if not fault:
        return True
    out.print(fault, markup=False, soft_wrap=True)
    return typer.confirm("Keep this answer?", default=False)


def _write(path: Path, answers: Answers) -> None:
    try:
        files = new_settings.write(path, answers)
    except FileExistsError as error:
        raise CommandError(f"{error.filename} exists, and is not overwritten; move it away first") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}); name another file with --config") from None
    out.print(f"written: {', '.join(map(str, files))}", markup=False, soft_wrap=True)


def _add_user(path: Path, user: str, password: str) -> None:
    try:
        with read_write_or_new(path) as process:
            permissions = Permissions(role=PageRole.OPERATOR, sees_films=True)
            UserAdministration(process=process, by=operator_log.operator_name()).add(user, password, permissions)
    except UserProblem as error:
        raise CommandError(f"{error}; then `cxr-node user add`") from None
    out.print(f"user {user} can log in, as operator", markup=False)


def _check(path: Path) -> bool:
    """Print the checks of doctor; return whether there is a problem."""
    out.print("checking the installation ...", markup=False)
    with Process.open(config.load(path)) as process:
        diagnosis = diagnose(process)
    print_checks(diagnosis.checks)
    return diagnosis.has_problem


def _has_terminal() -> bool:
    return sys.stdin.isatty()
