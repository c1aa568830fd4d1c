"""What people use a trained model for: prediction, zero-shot classification, exports."""
