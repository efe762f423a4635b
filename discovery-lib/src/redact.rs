//! Text from outside, redacted for errors.

/// A URL or an address without its user, password, query and fragment, which may be secret. Works for one that can't be parsed, too: everything
/// before an `@` is left out.
pub(crate) fn without_secrets(url: &str) -> String {
    let (before, place) = match url.rsplit_once('@') {
        Some((before, place)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            (if scheme.is_empty() { "…@".into() } else { format!("{scheme}://…@") }, place)
        }
        None => (String::new(), url),
    };
    let shown = place.split(['?', '#']).next().unwrap_or_default();
    format!("{before}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        for (url, shown) in [
            ("http://svc/orders", "http://svc/orders"),
            ("http://svc/?token=secret#secret", "http://svc/"),
            ("http://user:secret@svc/", "http://…@svc/"),
            ("https://secret@svc:80/x?secret", "https://…@svc:80/x"),
            ("http://user:se?cr/et@svc/", "http://…@svc/"),
            ("http://user:se@cret@svc/", "http://…@svc/"),
            ("user:secret@svc:8500", "…@svc:8500"),
            ("http://user:sec ret@svc/", "http://…@svc/"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }
}
