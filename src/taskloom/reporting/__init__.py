"""What a run tells people: its tasks, model card, citations and report. Only `material` and `texts` read files."""
