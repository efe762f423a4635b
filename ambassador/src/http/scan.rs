//! Finds the end of a message head, and refuses line ends other than CRLF on the way (RFC 9112, 2.2): where one parser takes a bare CR or LF for
//! a line end and another does not, a request can be hidden in a header.
//!
//! Each byte is looked at once, however the head is split into reads.

/// The progress in one head.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    /// Bytes that were looked at.
    at: usize,
    /// Where the current line starts.
    line: usize,
}

/// A line that ends in a bare CR or LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BareLineEnd;

impl Scan {
    /// The length of the head, its empty line included, once it is complete. The bytes start where the head does.
    ///
    /// # Errors
    ///
    /// A line end is not CRLF.
    pub(super) fn head_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, BareLineEnd> {
        while let Some(offset) = bytes[self.at..].iter().position(|byte| *byte == b'\n') {
            let end = self.at + offset;
            let content = bytes[self.line..end].strip_suffix(b"\r").ok_or(BareLineEnd)?;
            if content.contains(&b'\r') {
                return Err(BareLineEnd);
            }
            self.at = end + 1;
            self.line = self.at;
            if content.is_empty() {
                return Ok(Some(self.at));
            }
        }
        self.at = bytes.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_head_ends_with_its_first_empty_line() {
        for (bytes, end) in [
            (&b""[..], Ok(None)),
            (b"GET / HTTP/1.1\r\n", Ok(None)),
            (b"GET / HTTP/1.1\r\n\r", Ok(None)),
            (b"GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
            (b"a\r\n\r\nrest\n", Ok(Some(5))),
            (b"\r\nrest", Ok(Some(2))),
            (b"a\n\r\n", Err(BareLineEnd)),
            (b"a\r\n\n", Err(BareLineEnd)),
            (b"\n", Err(BareLineEnd)),
            (b"a\rb\r\n\r\n", Err(BareLineEnd)),
            (b"a\r\r\n\r\n", Err(BareLineEnd)),
        ] {
            assert_eq!(Scan::default().head_end(bytes), end, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_reads(
            bytes in prop::collection::vec(prop::sample::select(&b"ab\r\n\r\n"[..]), 0..40),
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let whole = Scan::default().head_end(&bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut scan, mut found) = (Scan::default(), Ok(None));
            for cut in cuts {
                found = scan.head_end(&bytes[..cut]);
                if found != Ok(None) {
                    break;
                }
            }
            // A head that ends is complete before a later error is seen.
            prop_assert_eq!(found, whole);
        }
    }
}
