"""The trainers: from raw text to checkpoints, as thin layers over ``transformers.Trainer`` on DeepSpeed ZeRO."""
