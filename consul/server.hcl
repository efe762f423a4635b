# A Consul server that is a whole datacenter by itself. Understood by Consul 1.8 and everything since.
# Flags win over this file: `agent -ui -bind=A -bootstrap-expect=3 -retry-join=B` makes it one of three.

server           = true
bootstrap_expect = 1
node_name        = "consul"

# Servers talk to each other here. A single one has nobody to talk to, and on loopback its address
# stays the same when its container gets another one, so that it always recognises its own data.
bind_addr = "127.0.0.1"

# The HTTP API and the UI (8500) and DNS (8600), for the container's network; what of it the host can see
# is decided where the container's ports are published.
client_addr = "0.0.0.0"
ports {
  http = 8500
  dns  = 8600
}

# When the container stops, this node stays a member, and its services stay in the data.
leave_on_terminate = false

# Whoever reaches the API could otherwise run commands here.
enable_script_checks       = false
enable_local_script_checks = false

# Electing oneself needs no patience: 1 instead of 5 gives a leader within two seconds of the start.
performance {
  raft_multiplier = 1
}

# Say so when an answer did not fit into a datagram, so that resolvers ask again by TCP.
dns_config {
  enable_truncate = true
}

# No news about new versions from HashiCorp.
disable_update_check = true
