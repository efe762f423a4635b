//! The metadata of a service (`Meta`): Consul's limits and error texts.

use std::collections::BTreeMap;

use super::reply::Failure;

const PAIRS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 512;
const RESERVED_PREFIX: &str = "consul-";

pub(crate) fn validate(meta: &BTreeMap<String, String>) -> Result<(), Failure> {
    if meta.len() > PAIRS_MAX {
        return Err(Failure::bad(format!(
            "Invalid Service Meta: Node metadata cannot contain more than {PAIRS_MAX} key/value pairs"
        )));
    }
    for (key, value) in meta {
        if let Some(why) = wrong(key, value) {
            return Err(Failure::bad(format!(
                "Invalid Service Meta: Couldn't load metadata pair ('{key}', '{value}'): {why}"
            )));
        }
    }
    Ok(())
}

fn wrong(key: &str, value: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() {
        return Some("Key cannot be blank".to_owned());
    }
    if !key.chars().all(fits) {
        return Some("Key contains invalid characters".to_owned());
    }
    if key.len() > KEY_BYTES_MAX {
        return Some(format!("Key is too long (limit: {KEY_BYTES_MAX} characters)"));
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Some(format!("Key prefix '{RESERVED_PREFIX}' is reserved for internal use"));
    }
    (value.len() > VALUE_BYTES_MAX)
        .then(|| format!("Value is too long (limit: {VALUE_BYTES_MAX} characters)"))
}
