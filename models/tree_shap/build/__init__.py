"""Building a SHAP plan: trees read, merged and compiled into tables."""
