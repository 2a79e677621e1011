"""Parts that screens are made of. Each draws values it is given and knows nothing of a fleet."""
