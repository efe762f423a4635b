# On a swarm: the node name of the Consul server. The swarm fills in the template.
node_name = "{{ .Node.Hostname }}"
