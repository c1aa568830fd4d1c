"""From recipes to micro-batches: rows read, standardized, tokenized once, drawn and cut."""
