"""What the end-to-end tests start, ask and stop. Only the standard library, so that nothing has to be installed."""
