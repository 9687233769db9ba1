"""Ways for messages and pictures to leave: each knows frames and messages, never session or model."""
