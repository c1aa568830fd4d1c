"""A trained model behind HTTP: classification and prediction for programs, and a page for people."""
