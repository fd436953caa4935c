"""features.builders."""
