//! The messages between a successor and its predecessor, and their framing. Pure.
//!
//! ```text
//! successor                     predecessor
//! hello, version          ->
//!                         <-    sockets: names and file descriptors, in several frames (or: refused, why)
//! taken: names            ->                 when the successor accepts
//!                         <-    released     when the predecessor no longer does
//! ```
//!
//! A frame is the length of a JSON text in four bytes, big-endian, and the text.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Listen, listen::possible};

/// Changes when an older ambassador could not understand the frames.
pub(super) const VERSION: u32 = 1;
/// The longest text of a frame, in bytes.
pub(super) const FRAME_MAX: usize = 64 * 1024;
/// Sockets of one frame. The system allows 253 file descriptors.
pub(super) const SOCKETS_PER_FRAME: usize = 64;
/// Sockets of one takeover.
pub(super) const SOCKETS_MAX: usize = 16 * 1024;
/// The bytes of a length.
pub(super) const LENGTH_BYTES: usize = 4;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Message {
    Hello {
        version: u32,
    },
    /// One name per file descriptor that comes with the frame.
    Sockets {
        names: Vec<Name>,
        /// Whether another frame of sockets follows.
        more: bool,
    },
    Refused {
        why: String,
    },
    /// The sockets that the successor serves.
    Taken {
        names: Vec<Name>,
    },
    Released,
}

/// What a socket is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    Tcp(std::net::SocketAddr),
    Udp(std::net::SocketAddr),
    /// Absolute.
    Unix(PathBuf),
    /// The admin listener.
    Admin(std::net::SocketAddr),
    /// The socket for takeovers itself.
    Takeover,
}

impl Name {
    pub(super) fn of(listen: &Listen) -> Self {
        match listen {
            Listen::Tcp(at) => Self::Tcp(possible(*at)),
            Listen::Udp(at) => Self::Udp(possible(*at)),
            Listen::Unix(path) => {
                Self::Unix(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
        }
    }
}

/// A message as a frame. None if it is too long.
pub(super) fn encode(message: &Message) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(message).ok().filter(|text| text.len() <= FRAME_MAX)?;
    let length = u32::try_from(text.len()).ok()?.to_be_bytes();
    Some([&length[..], &text].concat())
}

/// The length of the text that follows. None if no frame is as long.
pub(super) fn length(bytes: [u8; LENGTH_BYTES]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes)).ok().filter(|length| *length <= FRAME_MAX)
}

/// None if it is no message.
pub(super) fn decode(text: &[u8]) -> Option<Message> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = Name> {
        prop_oneof![
            any::<(std::net::IpAddr, u16)>().prop_map(|at| Name::Tcp(at.into())),
            any::<(std::net::IpAddr, u16)>().prop_map(|at| Name::Udp(at.into())),
            "/[a-z ]{1,40}".prop_map(|path| Name::Unix(path.into())),
            Just(Name::Takeover),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        let names = || prop::collection::vec(name(), 0..SOCKETS_PER_FRAME);
        prop_oneof![
            any::<u32>().prop_map(|version| Message::Hello { version }),
            (names(), any::<bool>()).prop_map(|(names, more)| Message::Sockets { names, more }),
            ".{0,80}".prop_map(|why| Message::Refused { why }),
            names().prop_map(|names| Message::Taken { names }),
            Just(Message::Released),
        ]
    }

    proptest! {
        #[test]
        fn a_message_is_decoded_as_it_was(message in message()) {
            let frame = encode(&message).unwrap();
            let (head, text) = frame.split_first_chunk().unwrap();
            prop_assert_eq!(length(*head), Some(text.len()));
            prop_assert_eq!(decode(text), Some(message));
        }

        #[test]
        fn no_bytes_are_a_panic(text: Vec<u8>, head: [u8; LENGTH_BYTES]) {
            decode(&text);
            prop_assert!(length(head).is_none_or(|length| length <= FRAME_MAX));
        }
    }

    #[test]
    fn the_longest_paths_fit_into_a_frame() {
        let path = format!("/{}", "\u{1}".repeat(106));
        let names = vec![Name::Unix(path.into()); SOCKETS_PER_FRAME];
        assert!(encode(&Message::Sockets { names, more: true }).is_some());
    }
}
