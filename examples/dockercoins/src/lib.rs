//! DockerCoins: what its four services share.
