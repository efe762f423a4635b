//! Decides which messages are questions. A refused message is refused by its header, before the rest is parsed, as the DNS library of Consul
//! does.

use hickory_proto::op::{Message, ResponseCode};

const HEADER_BYTES: usize = 12;
/// The response bit, in the third byte of the header.
const RESPONSE: u8 = 0x80;
/// The opcode bits, in the same byte.
const OPCODE: u8 = 0x78;
/// The bit that requests recursion, in the same byte. Answers repeat it.
const RECURSION_DESIRED: u8 = 0x01;

/// Parses a question.
///
/// # Errors
///
/// The message cannot be answered. The error is the answer to send, or nothing if the message is not a question: a response must never be
/// answered.
pub(super) fn read(bytes: &[u8]) -> Result<Message, Option<Vec<u8>>> {
    let header = bytes.first_chunk().ok_or(None)?;
    if header[2] & RESPONSE != 0 {
        return Err(None);
    }
    if header[2] & OPCODE != 0 {
        return Err(Some(refusal(header, ResponseCode::NotImp)));
    }
    let count = |at| u16::from_be_bytes([header[at], header[at + 1]]);
    // One question; at most an EDNS record and a signature besides.
    let is_one = count(4) == 1 && count(6) <= 1 && count(8) <= 1 && count(10) <= 2;
    let message = if is_one { Message::from_vec(bytes).ok() } else { None };
    message.ok_or_else(|| Some(refusal(header, ResponseCode::FormErr)))
}

/// The header of the answer without records.
fn refusal(asked: &[u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    let mut header = vec![0; HEADER_BYTES];
    header[..2].copy_from_slice(&asked[..2]);
    header[2] = RESPONSE | asked[2] & (OPCODE | RECURSION_DESIRED);
    header[3] = code.low();
    header
}
