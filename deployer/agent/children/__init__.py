"""Scripts that another environment's Python runs. They import nothing of ours."""
