"""Motion correction of movies: how far each frame lies from a template, and the movie with that taken back."""
