//! Hashes that are the same for all callers, on all machines and in all runs.

use crate::Instance;

/// A hash of a key, such as a user's name or a cookie, for [`PickOptions::key`](crate::PickOptions::key) and
/// [`CallOptions::key`](crate::CallOptions::key). The same in each process, on each machine and in each version (64-bit FNV-1a).
///
/// ```
/// assert_eq!(discovery::hash_key("alice"), 0x508b_2abb_65a0_3907);
/// ```
#[must_use]
pub fn hash_key(key: impl AsRef<[u8]>) -> u64 {
    fnv(key.as_ref().iter().copied())
}

/// A hash of the id and the node, which are the same for all callers and all runs.
pub(super) fn identity(instance: &Instance) -> u64 {
    let separator = [0];
    fnv(instance.id.as_str().bytes().chain(separator).chain(instance.node.bytes()))
}

/// Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm" (RFC 9923).
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_published_hashes_of_fnv() {
        for (key, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hash_key(key), hash, "{key}");
        }
    }
}
