"""Raw text to cleaned, counted, split documents."""
