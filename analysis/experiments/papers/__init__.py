"""One module per paper: its sweep, how it is summed up, and the directions it expects."""
