"""Building blocks of networks: attention, rotary time, perceiver, identity, heads, likelihoods."""
