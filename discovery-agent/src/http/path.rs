//! Canonical paths. Consul, which uses Go's server, redirects clients to the canonical form.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that Go does not escape in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// The target without `//`, `/./` and `/../`, also percent-encoded ones, if it has any.
pub(crate) fn clean(uri: &Uri) -> Option<String> {
    let path = uri.path();
    let has_one = |path: &str| path.contains("//") || path.contains("/.");
    // The common case: nothing to change.
    if !path.starts_with('/') || !(has_one(path) || path.contains('%')) {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut parts = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = if decoded.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    let clean = format!("/{}{end}", parts.join("/"));
    (*decoded != clean).then(|| {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", utf8_percent_encode(&clean, KEPT))
    })
}

/// The body that Go sends to a browser.
pub(crate) fn page(to: &str) -> String {
    let mut escaped = String::with_capacity(to.len());
    for c in to.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    format!("<a href=\"{escaped}\">Moved Permanently</a>.\n\n")
}
