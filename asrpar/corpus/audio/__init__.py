"""Audio files: which are opened, and what their headers can be believed to say."""
