"""What the methods that perturb activations share: noise, laws and fast draws."""
