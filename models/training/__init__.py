"""Training the shipped worlds: data from real engines, autoencoder, dynamics, evaluation."""
