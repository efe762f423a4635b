# Settings of a server in the cluster, in addition to consul/server.hcl. They are the same on each host; others are flags.
# Later files and flags override earlier ones.

bootstrap_expect = 3

# The HTTP API and DNS for this host only: all clients of the API can register and deregister.
client_addr = "127.0.0.1"

# One datacenter: no gossip between datacenters, and no port 8302 for it.
ports {
  serf_wan = -1
}

# A host that restarts stays a member and keeps its services. `consul leave` removes it from the cluster.
leave_on_terminate      = false
skip_leave_on_interrupt = true

# Other servers may still be starting.
retry_interval = "1s"

# A new leader within about three seconds after the old one stopped, on a fast network. The default is 5.
performance {
  raft_multiplier = 1
}
