"""From entries of a ViewState to lines of styled text; pure, no widget and no application is needed."""
