"""Events that hit many pixels at once: snowballs and showers."""
