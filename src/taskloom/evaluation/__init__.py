"""Model and rows -> a report: metrics with intervals beside the trivial answer, and every row's answer."""
