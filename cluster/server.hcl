# What a server of the cluster has besides what consul/server.hcl says, on each host alike; what differs comes as flags.
# Later files and flags win.

bootstrap_expect = 3

# The HTTP API and DNS for this host alone: whoever reaches the API may register and deregister.
client_addr = "127.0.0.1"

# One datacenter: no gossip between datacenters, and no port 8302 for it.
ports {
  serf_wan = -1
}

# A host that restarts stays a member, and its services stay in its data. `consul leave` takes it out for good.
leave_on_terminate      = false
skip_leave_on_interrupt = true

# Others may still be starting.
retry_interval = "1s"

# A new leader within about three seconds of the old one's end, for hosts that are near each other. 5 is Consul's default.
performance {
  raft_multiplier = 1
}
