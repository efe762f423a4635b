//! `null` read as nothing: Go writes a nil list or map as `null`.

use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "null_is_default")]`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `#[serde(serialize_with = "empty_is_null")]`: Go writes a nil map as `null`, and Consul keeps it so for the `Meta` of a service.
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
