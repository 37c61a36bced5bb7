"""How the weights of physio-FM were made."""
