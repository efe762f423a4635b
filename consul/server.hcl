# A single Consul server with its own datacenter. Works with Consul 1.8 and newer.
# Flags override this file: with `agent -ui -bind=A -bootstrap-expect=3 -retry-join=B` it is one of three.

server           = true
bootstrap_expect = 1
node_name        = "consul"

# The address for traffic between servers. A single server has none; and loopback stays the same when the container gets
# another address, so that the server always accepts its own data.
bind_addr = "127.0.0.1"

# The HTTP API and the UI (8500) and DNS (8600), on the container's network. Publishing the ports
# decides what the host can reach.
client_addr = "0.0.0.0"
ports {
  http = 8500
  dns  = 8600
}

# When the container stops, this node stays a member, and its services stay in the data.
leave_on_terminate = false

# Otherwise all clients of the API could run commands here.
enable_script_checks       = false
enable_local_script_checks = false

# A single server can use short election timeouts: 1 instead of 5 elects a leader within two seconds of the start.
performance {
  raft_multiplier = 1
}

# Mark truncated UDP answers (TC), so that resolvers retry over TCP.
dns_config {
  enable_truncate = true
}

# No version checks at HashiCorp.
disable_update_check = true
