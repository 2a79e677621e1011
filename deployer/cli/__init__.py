"""The command line: the first of two front ends over deployer.app."""
