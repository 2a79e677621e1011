"""The terminal UI: review plans, watch applies, see the fleet. Front end 2; it knows app, plan and state alone."""
