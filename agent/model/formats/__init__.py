"""Chat formats: messages to token ids and back. Each file is one family of models."""
