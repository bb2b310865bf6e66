"""
Figures of a process from proc(5): CPU, memory, bytes written.
"""

import os
import statistics
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """
    Seconds of CPU of *pid*, without its children.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """
    MiB of memory: resident now, and the peak since `forget_peak`.
    """
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("VmRSS", "VmHWM")):
            name, value = line.split(":")
            found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def written(pid):
    """
    Bytes that *pid* caused to be written to the disk.
    """
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split(":")[1])
    raise ValueError("the kernel does not count")


def read(pid):
    """
    Bytes that *pid* read from files; what came over the network does not count.
    """
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("rchar"):
            return int(line.split(":")[1])
    raise ValueError("the kernel does not count")


def processes_with(*words):
    """
    The pids whose command line has all of *words*.
    """
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if all(word.encode() in line for word in words):
                found.append(int(entry))
    return found


def median(values):
    return statistics.median(values)
