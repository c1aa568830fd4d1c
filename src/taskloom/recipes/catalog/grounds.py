"""On what a recipe rests whose data set has no recorded schema that fits: what its `rests_on` may say.

`taskloom check` lists these tasks apart. Label names are mapped by name wherever the source has names, so a wrong guess
stops the task with a message when its rows are first read; it cannot turn labels round in silence.
"""

from __future__ import annotations

HUB_PAGE = "the hub's description of the data set: its columns, class names and splits; no row was seen"
MAPPING = (
    "the columns that tasksource reads (December 2022 and 0.1.1); label names from the data set's page or paper, not "
    "verified; no row was seen"
)
RENAMED = "the columns of today's copy, as tasksource 0.1.1 reads them (renamed since 2022); no row was seen"
GONE = (
    "the columns that tasksource read in December 2022; the set is gone, and nobody recorded its schema or label names"
)
LISTED = (
    "the columns and splits that tasksource 0.1.1 lists (October 2026); label names from that list, else from the data "
    "set's page or paper; no row was seen"
)
