"""What the Point-and-click dock decides: tools, gestures, prompts, edits."""
