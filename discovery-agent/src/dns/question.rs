//! Messages as they come in: which of them are questions. What is refused is refused by its header, before the rest is read, as by the DNS
//! library that Consul uses.

use hickory_proto::op::{Message, ResponseCode};

const HEADER_BYTES: usize = 12;
/// The bit of a response, in the header's third byte.
const RESPONSE: u8 = 0x80;
/// The bits of the operation, there.
const OPCODE: u8 = 0x78;
/// The bit by which the asker wants recursion, there. Answers repeat it.
const RECURSION_DESIRED: u8 = 0x01;

/// Reads a question.
///
/// # Errors
///
/// It is none that can be answered: with what to say instead; with nothing for what is no question at all, above all for answers, which must
/// never be answered.
pub(super) fn read(bytes: &[u8]) -> Result<Message, Option<Vec<u8>>> {
    let header = bytes.first_chunk().ok_or(None)?;
    if header[2] & RESPONSE != 0 {
        return Err(None);
    }
    if header[2] & OPCODE != 0 {
        return Err(Some(refusal(header, ResponseCode::NotImp)));
    }
    let count = |at| u16::from_be_bytes([header[at], header[at + 1]]);
    // One question; of records at most an EDNS record and a signature.
    let is_one = count(4) == 1 && count(6) <= 1 && count(8) <= 1 && count(10) <= 2;
    let message = if is_one { Message::from_vec(bytes).ok() } else { None };
    message.ok_or_else(|| Some(refusal(header, ResponseCode::FormErr)))
}

/// The header of the answer, and nothing more.
fn refusal(asked: &[u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    let mut header = vec![0; HEADER_BYTES];
    header[..2].copy_from_slice(&asked[..2]);
    header[2] = RESPONSE | asked[2] & (OPCODE | RECURSION_DESIRED);
    header[3] = code.low();
    header
}
