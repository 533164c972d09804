"""Trained models: named once in a project, linked to their run, and kept in step with MLflow's registry."""
