"""Functions run in child processes with limits of memory and time, or in the calling thread."""
