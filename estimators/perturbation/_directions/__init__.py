"""What the methods along directions in weight space share: slopes, replay and fast draws."""
