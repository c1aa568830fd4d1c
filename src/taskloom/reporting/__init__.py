"""What a run tells people: the list of its tasks, the model card and the citations. Pure: values in, text out."""
