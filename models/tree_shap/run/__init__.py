"""Running a SHAP plan: values of a block of rows from its tables."""
