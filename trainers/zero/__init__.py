"""DeepSpeed configurations, one per ZeRO stage."""
