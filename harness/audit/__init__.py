"""Every source of numbers against the truth from inside, on this host."""
