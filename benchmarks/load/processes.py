"""Processor time and memory of a program's processes."""

from pathlib import Path

import psutil

_FORGET_PEAKS = "5"
"""Written to clear_refs: resets the peak of resident memory (proc(5))."""


def cpu_s(root: int) -> float:
    """Return the processor seconds of a process and its children, including those that have ended."""
    used = 0.0
    for process in family(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return used


def forget_peaks(root: int) -> None:
    """Reset the peaks of resident memory."""
    for process in family(root):
        try:
            Path(f"/proc/{process.pid}/clear_refs").write_text(_FORGET_PEAKS, encoding="ascii")
        except OSError:  # it has ended, or is of another user: its peak is then since its start
            continue


def peak_rss_mb(root: int) -> float:
    """Return the peak resident memory of the largest receiving process, in 10^6 bytes."""
    return max((_status_kib(process.pid, "VmHWM") for process in _receiving(root)), default=0) * 1024 / 1e6


def rss_mb(root: int) -> float:
    """Return the resident memory of the largest receiving process, in 10^6 bytes."""
    return max((_status_kib(process.pid, "VmRSS") for process in _receiving(root)), default=0) * 1024 / 1e6


def _receiving(root: int) -> list[psutil.Process]:
    """Return the processes that accept connections: those of the receive role of this node, all of a peer."""
    own = family(root)
    return [process for process in own if {"role", "receive"} <= set(_words(process))] or own


def _words(process: psutil.Process) -> list[str]:
    try:
        return " ".join(process.cmdline()).split()
    except psutil.NoSuchProcess:
        return []


def _status_kib(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def family(root: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
