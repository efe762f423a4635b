//! A slow, plain parser of messages, independent of the product's: it splits what was received into messages and describes each in one line.

/// One message: its start line, its headers, and its body, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) start: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) trailers: String,
    /// Whether its end has been received.
    pub(super) is_complete: bool,
}

/// How the end of a body is known when no header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unframed {
    /// A request: there is no body.
    Empty,
    /// A response: it ends with the connection.
    ToTheEnd,
}

impl Message {
    /// The first message of these bytes and what follows it. None: its head is not complete.
    pub(super) fn first(bytes: &[u8], unframed: Unframed, is_head: bool) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let rest = &bytes[end + 4..];
        let mut lines = text.split("\r\n");
        let start = lines.next()?.to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers = lines.map(header).collect();
        let mut message = Self {
            start,
            headers,
            body: String::new(),
            trailers: String::new(),
            is_complete: true,
        };
        let rest = message.take_body(rest, unframed, is_head);
        Some((message, rest))
    }

    fn take_body<'b>(&mut self, rest: &'b [u8], unframed: Unframed, is_head: bool) -> &'b [u8] {
        let length = self.header("content-length").and_then(|it| it.parse().ok());
        let is_bodyless =
            is_head || [" 1", " 204", " 304"].iter().any(|it| self.status().starts_with(it));
        let (body, rest) = if is_bodyless {
            (&rest[..0], rest)
        } else if self.header("transfer-encoding").is_some() {
            return self.take_chunks(rest);
        } else if let Some(length) = length {
            self.is_complete = rest.len() >= length;
            rest.split_at(length.min(rest.len()))
        } else if unframed == Unframed::ToTheEnd {
            (rest, &rest[rest.len()..])
        } else {
            (&rest[..0], rest)
        };
        self.body = String::from_utf8_lossy(body).into_owned();
        rest
    }

    fn take_chunks<'b>(&mut self, mut rest: &'b [u8]) -> &'b [u8] {
        let line = |rest: &mut &'b [u8]| {
            let end = rest.windows(2).position(|window| window == b"\r\n")?;
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            *rest = &rest[end + 2..];
            Some(line)
        };
        while let Some(size) = line(&mut rest) {
            let digits = size.split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(digits, 16) else { break };
            if size == 0 {
                while let Some(trailer) = line(&mut rest) {
                    if trailer.is_empty() {
                        return rest;
                    }
                    self.trailers += &format!("{trailer};");
                }
                break;
            }
            let Some(chunk) = rest.get(..size + 2) else { break };
            self.body += &String::from_utf8_lossy(&chunk[..size]);
            rest = &rest[size + 2..];
        }
        self.is_complete = false;
        &rest[rest.len()..]
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// With a space in front, if it is a response.
    fn status(&self) -> &str {
        if self.start.starts_with("HTTP/") { &self.start[8..] } else { "" }
    }
}

/// Each message in one line.
pub(super) fn describe(message: &Message) -> String {
    let mut text = match message.status() {
        "" => message.start.clone(),
        status => status.trim().split(' ').next().unwrap_or_default().to_owned(),
    };
    for (name, value) in &message.headers {
        let is_shown = match &**name {
            "content-length" => message.status().is_empty() || message.body.is_empty(),
            "transfer-encoding" | "expect" | "upgrade" => true,
            "connection" => !value.eq_ignore_ascii_case("keep-alive"),
            _ => false,
        };
        if is_shown {
            text += &format!(" [{name}: {value}]");
        }
    }
    let is_own = message.header("content-type").is_some_and(|it| it.starts_with("text/"));
    if !message.body.is_empty() && !is_own {
        text += &format!(" {}", message.body.escape_debug());
    }
    if !message.trailers.is_empty() {
        text += &format!(" + {}", message.trailers);
    }
    if !message.is_complete {
        text += " (cut off)";
    }
    text
}

/// All responses to requests of these methods.
pub(super) fn responses(mut bytes: &[u8], is_head: bool) -> String {
    let mut all = Vec::new();
    while let Some((message, rest)) = Message::first(bytes, Unframed::ToTheEnd, is_head) {
        all.push(describe(&message));
        bytes = rest;
    }
    if !bytes.is_empty() {
        all.push(format!("{} more bytes", bytes.len()));
    }
    if all.is_empty() { "closed".into() } else { all.join(", ") }
}
