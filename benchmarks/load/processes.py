"""Cost of a program: processor time and memory of its processes."""

from pathlib import Path

import psutil

_FORGET_PEAKS = "5"
"""Written to clear_refs: the peak of resident memory begins anew (proc(5))."""


def cpu_s(root: int) -> float:
    """Return the processor time in seconds that a process, its children, and those that have ended have used."""
    used = 0.0
    for process in _family(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return used


def forget_peaks(root: int) -> None:
    """Let the peaks of memory begin anew."""
    for process in _family(root):
        try:
            Path(f"/proc/{process.pid}/clear_refs").write_text(_FORGET_PEAKS, encoding="ascii")
        except OSError:  # it has ended, or is another user's: then its peak is that of its life
            continue


def peak_rss_mb(root: int) -> float:
    """Return the most memory in 10^6 bytes that the largest of the processes that receive has had resident."""
    return max((_status_kib(process.pid, "VmHWM") for process in _receiving(root)), default=0) * 1024 / 1e6


def rss_mb(root: int) -> float:
    """Return the memory in 10^6 bytes that the largest of the processes that receive has resident now."""
    return max((_status_kib(process.pid, "VmRSS") for process in _receiving(root)), default=0) * 1024 / 1e6


def _receiving(root: int) -> list[psutil.Process]:
    """Return the processes that connections come to: of this node those of its role, of others all."""
    family = _family(root)
    return [process for process in family if {"role", "receive"} <= set(_words(process))] or family


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _status_kib(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def _family(root: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
