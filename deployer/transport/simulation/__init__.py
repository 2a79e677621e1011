"""A simulated machine under the real agent: systemd, programs, GPUs and HTTP over a temporary root. Used by transport.fake."""
