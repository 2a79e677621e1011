"""What the user wrote: strict YAML with positions, checked models, and the JSON Schema made from them."""
