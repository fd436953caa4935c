"""models.tree_shap.build."""
