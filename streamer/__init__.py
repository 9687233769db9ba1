"""The streaming service. Read it top to bottom and you follow one key press to the screen."""
