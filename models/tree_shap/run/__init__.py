"""models.tree_shap.run."""
