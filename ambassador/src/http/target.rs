//! The target of a request (RFC 9112, 3.2), as it is forwarded.

use super::{refusal::Refusal, request::is_of_host};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A path with its query.
    Path(&'a str),
    /// A URL. It is forwarded as a path, and its authority as the Host.
    Url { authority: &'a str, path: &'a str },
    /// `*`: the server itself.
    Server,
}

impl<'a> Target<'a> {
    /// # Errors
    ///
    /// It does not suit the method, or is not a target at all.
    pub(super) fn read(method: &str, target: &'a str) -> Result<Self, Refusal> {
        if method == "CONNECT" {
            return Err(Refusal::new(501, "CONNECT is not supported"));
        }
        if !target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
            return Err(Refusal::bad("the target has a character that is not allowed"));
        }
        match target.as_bytes() {
            [b'/', ..] => Ok(Self::Path(target)),
            b"*" if method == "OPTIONS" => Ok(Self::Server),
            _ => Self::url(method, target),
        }
    }

    fn url(method: &str, target: &'a str) -> Result<Self, Refusal> {
        let bad = || Refusal::bad("the target is not a path or an http URL");
        let (scheme, rest) = target.split_once("://").ok_or_else(bad)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_host = !authority.is_empty() && authority.bytes().all(|byte| is_of_host(&byte));
        if !scheme.eq_ignore_ascii_case("http") || !is_host {
            return Err(bad());
        }
        // RFC 9112, 3.2.4: OPTIONS of a URL without a path means the server.
        if path.is_empty() && method == "OPTIONS" {
            return Ok(Self::Url { authority, path: "*" });
        }
        Ok(Self::Url { authority, path })
    }

    pub(super) fn authority(&self) -> Option<&'a str> {
        match self {
            Self::Url { authority, .. } => Some(authority),
            Self::Path(_) | Self::Server => None,
        }
    }

    /// Appends it in the form for servers.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let path = match self {
            Self::Path(path) | Self::Url { path, .. } => path,
            Self::Server => "*",
        };
        if path.is_empty() || path.starts_with('?') {
            out.push(b'/');
        }
        out.extend_from_slice(path.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_forwarded_as_paths() {
        for (method, target, expected) in [
            ("GET", "/", Ok("/")),
            ("GET", "//a/../b?c=/d", Ok("//a/../b?c=/d")),
            ("GET", "http://rng/a?b", Ok("/a?b")),
            ("GET", "HTTP://rng:80", Ok("/")),
            ("GET", "http://rng?b", Ok("/?b")),
            ("OPTIONS", "*", Ok("*")),
            ("OPTIONS", "http://rng", Ok("*")),
            ("OPTIONS", "http://rng/", Ok("/")),
            ("GET", "*", Err(400)),
            ("GET", "rng", Err(400)),
            ("GET", "rng:80", Err(400)),
            ("GET", "https://rng/", Err(400)),
            ("GET", "http:///", Err(400)),
            ("GET", "http://user@rng/", Err(400)),
            ("GET", "/#a", Err(400)),
            ("GET", "/\u{e9}", Err(400)),
            ("CONNECT", "rng:80", Err(501)),
        ] {
            let written = Target::read(method, target).map(|target| {
                let mut out = Vec::new();
                target.write(&mut out);
                String::from_utf8(out).unwrap()
            });
            assert_eq!(written.as_deref().map_err(|it| it.status), expected, "{method} {target}");
        }
    }
}
