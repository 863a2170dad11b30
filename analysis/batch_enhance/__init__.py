"""Folders of sound files in, folders of enhanced files out: any number of files of any length, resumable.

A file is enhanced in stretches of five minutes that are cross-faded, so that the memory needed depends on
neither the length of a file nor the number of files. An output is written elsewhere and renamed: what exists is whole,
and is not done again. Noise is drawn from the seed and the place in the file alone, and every job runs on one thread:
the audio does not depend on the number of jobs, on the order of the files or on interruptions.
"""

from analysis.batch_enhance.folder import Report, enhance_files, reason
from analysis.batch_enhance.items import Item, find_items
from analysis.batch_enhance.single import FileRun, enhance_file, out_subtype
from analysis.batch_enhance.table import Table, check_writable

__all__ = [
    "FileRun",
    "Item",
    "Report",
    "Table",
    "check_writable",
    "enhance_file",
    "enhance_files",
    "find_items",
    "out_subtype",
    "reason",
]
