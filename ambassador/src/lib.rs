//! Local ports that stand for services, for programs that know nothing of Consul.
