"""The schema's history: numbered files that are applied in order and never edited."""
