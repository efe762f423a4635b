# On a swarm: the name that a node's Consul server has. The swarm fills it in.
node_name = "{{ .Node.Hostname }}"
