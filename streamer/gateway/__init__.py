"""Many servers as one: who gets which place, and what becomes of sessions whose server dies."""
