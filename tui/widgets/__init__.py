"""What the main screen is made of; widgets show a ViewState and post messages, they run nothing."""
