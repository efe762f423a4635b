//! The coins and the count of hashes, in redis: a hash `wallet` with the random bytes of each coin by its SHA-256, and a counter `hashes`.

use std::time::Duration;

use redis::{
    Client, IntoConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// For a connection, and for an answer.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
const COINS: &str = "wallet";
const HASHES: &str = "hashes";

/// The address of redis, as a setting.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RedisArgs {
    /// Address of redis, or of an ambassador for it
    #[arg(long, env = "REDIS", value_name = "HOST:PORT", default_value = "127.0.0.1:6379", value_parser = client)]
    redis: Client,
}

/// Random bytes whose SHA-256 begins with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) hash: String,
    pub(crate) bytes: Vec<u8>,
}

/// What a worker did since its last save.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) hashes: u64,
    pub(crate) coins: Vec<Coin>,
}

/// The sums of all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) coins: u64,
    pub(crate) hashes: u64,
}

/// A connection to redis, made at the first use and again after each failure. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Wallet {
    connection: ConnectionManager,
}

impl Wallet {
    /// # Errors
    /// The address cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(args: RedisArgs) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_number_of_retries(0); // callers repeat
        Ok(Self { connection: ConnectionManager::new_lazy_with_config(args.redis, config)? })
    }

    /// Adds a batch, all or nothing. After a lost answer it may have been added all the same.
    ///
    /// # Errors
    /// redis does not answer, or refuses.
    pub(crate) async fn add(&self, batch: &Batch) -> Result<(), RedisError> {
        let mut pipe = redis::pipe();
        pipe.atomic().incr(HASHES, batch.hashes).ignore();
        for coin in &batch.coins {
            pipe.hset(COINS, &coin.hash, coin.bytes.as_slice()).ignore();
        }
        pipe.query_async(&mut self.connection.clone()).await
    }

    /// # Errors
    /// redis does not answer, or refuses.
    pub(crate) async fn totals(&self) -> Result<Totals, RedisError> {
        let mut pipe = redis::pipe();
        pipe.atomic().hlen(COINS).get(HASHES);
        let (coins, hashes): (u64, Option<u64>) =
            pipe.query_async(&mut self.connection.clone()).await?;
        Ok(Totals { coins, hashes: hashes.unwrap_or(0) })
    }
}

/// Parses an address of redis.
fn client(text: &str) -> Result<Client, &'static str> {
    let expected = "expected a host and a port, like 127.0.0.1:6379";
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| expected)?;
    if host.is_empty() || host.contains(char::is_whitespace) || port == 0 {
        return Err(expected);
    }
    let info = (host, port).into_connection_info().map_err(|_| expected)?;
    Client::open(info).map_err(|_| expected)
}
