"""Training of the default model: data, model, recipes, evaluation."""
