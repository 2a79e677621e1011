"""What the outside world said about models and engines, pinned in deployer.lock."""
