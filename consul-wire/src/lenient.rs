//! Lenient deserialization of values that Consul serves and a strict type would refuse: `null` for a nil list or map of Go, numbers out of range.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};

/// For `#[serde(default, deserialize_with = "null_is_default")]`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `#[serde(default, deserialize_with = "odd_is_default")]`: a value that is not a `T` becomes the default.
pub(crate) fn odd_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read<T> {
        Good(T),
        Odd(IgnoredAny),
    }
    Ok(match Read::deserialize(deserializer)? {
        Read::Good(good) => good,
        Read::Odd(IgnoredAny) => T::default(),
    })
}

/// For `#[serde(deserialize_with = "port")]`: Consul stores a port as a Go `int` and accepts any.
pub(crate) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let port = Option::<i64>::deserialize(deserializer)?.unwrap_or_default();
    port.try_into()
        .map_err(|_| D::Error::custom(format_args!("{port} is not a port: a port is 0 to 65535")))
}

/// For `#[serde(deserialize_with = "port_or_none")]`: 0 if there is none, or an invalid one.
pub(crate) fn port_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let port = Option::<i64>::deserialize(deserializer)?.unwrap_or_default();
    Ok(port.try_into().unwrap_or_default())
}

/// For `#[serde(serialize_with = "empty_is_null")]`: Go encodes a nil map as `null`, as Consul does for the `Meta` of a service.
pub(crate) fn empty_is_null<S, K, V>(
    map: &std::collections::BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error>
where
    S: serde::Serializer,
    K: serde::Serialize,
    V: serde::Serialize,
{
    use serde::Serialize as _;
    if map.is_empty() { serializer.serialize_none() } else { map.serialize(serializer) }
}
