"""What a trained model learns further: probes, fine-tuning, distilling to labels, and transfer, which measures them."""
