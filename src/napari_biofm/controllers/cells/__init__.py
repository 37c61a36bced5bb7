"""What the Cells dock decides: labels given by clicks, lists, what is said; and layers made of predictions."""
