//! The chunked transfer coding (RFC 9112, 7.1), decoded in place. Strict: what another parser could frame differently is an error.

/// The longest line that starts a chunk: its size and its extensions.
pub(super) const CHUNK_LINE_MAX: usize = 256;
/// The trailer section after the last chunk.
pub(super) const TRAILERS_MAX: usize = 8 * 1024;
/// Hexadecimal digits of a size. Sizes below 2^60 are larger than any body, and do not overflow.
const SIZE_DIGITS_MAX: usize = 15;

/// The progress in one chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before the line of a chunk.
    Line,
    /// In its data: the bytes that are left.
    Data(u64),
    /// Before the CRLF after the data.
    DataEnd,
    /// Before the trailer section.
    Trailers,
}

/// What the bytes at the front of the buffer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes of framing.
    Framing(usize),
    /// So many bytes of data.
    Data(usize),
    /// The trailer section, its empty line included: the end of the body.
    End(usize),
    /// Not enough to tell.
    More,
}

/// The body is not chunked, or a limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunked {
    /// The next step, which is taken: the caller removes its bytes from the front.
    ///
    /// # Errors
    ///
    /// The bytes are not a chunked body within the limits.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        match *self {
            Self::Line => self.line(bytes),
            Self::Data(_) if bytes.is_empty() => Ok(Step::More),
            Self::Data(left) => {
                let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let left = left - count as u64;
                *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                Ok(Step::Data(count))
            }
            Self::DataEnd => match bytes {
                [] | [b'\r'] => Ok(Step::More),
                [b'\r', b'\n', ..] => {
                    *self = Self::Line;
                    Ok(Step::Framing(2))
                }
                _ => Err(Malformed),
            },
            Self::Trailers => trailers(bytes),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let Some(length) = line_end(bytes, CHUNK_LINE_MAX)? else { return Ok(Step::More) };
        *self = match size(&bytes[..length])? {
            0 => Self::Trailers,
            size => Self::Data(size),
        };
        Ok(Step::Framing(length + 2))
    }
}

/// The length of the first line, without its CRLF, if it is complete. With it, it has at most `max` bytes.
fn line_end(bytes: &[u8], max: usize) -> Result<Option<usize>, Malformed> {
    let seen = &bytes[..bytes.len().min(max)];
    match seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        None if seen.len() == max => Err(Malformed),
        None => Ok(None),
        Some(at) => match seen.get(at..at + 2) {
            Some(b"\r\n") => Ok(Some(at)),
            None if seen[at] == b'\r' && seen.len() < max => Ok(None),
            _ => Err(Malformed),
        },
    }
}

/// The size that a line states. Extensions are ignored: they are for one hop, and none is in use.
fn size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at(digits);
    let is_line = matches!(extensions.first(), None | Some(b';'))
        && extensions.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    if !is_line || digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return Err(Malformed);
    }
    Ok(digits.iter().fold(0, |size, digit| size * 16 + u64::from(hex_value(*digit))))
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn trailers(bytes: &[u8]) -> Result<Step, Malformed> {
    let mut at = 0;
    while let Some(length) = line_end(&bytes[at..], TRAILERS_MAX - at)? {
        at += length + 2;
        if length == 0 {
            return Ok(Step::End(at));
        }
        if at == TRAILERS_MAX {
            return Err(Malformed);
        }
    }
    Ok(Step::More)
}

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;
