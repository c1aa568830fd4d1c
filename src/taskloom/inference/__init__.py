"""What people use a trained model for: exports, prediction, zero-shot classification."""
