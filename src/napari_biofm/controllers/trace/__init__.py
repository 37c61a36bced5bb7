"""What the Trace dock decides: recordings, events, analyses, exports, teaching."""
