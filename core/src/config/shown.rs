//! How a wrong value is shown in an error. Environment variables get mixed up, so any option may hold the mnemonic, a
//! database URL with its password or a private key: a value is shown only when it can hardly be one of these.

/// Longer values are counted, not shown: 48 has room for every good short value (a host with its port, a scid) and none
/// for 64 hexadecimal characters or twelve words.
const LONGEST: usize = 48;

/// The value in quotes, or its length.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() {
        return "empty".to_owned();
    }
    if text.contains("://") {
        return shown_url(text);
    }
    let length = text.chars().count();
    if length > LONGEST || text.contains(char::is_whitespace) || text.contains('@') {
        return format!("a text of {length} characters (not shown)");
    }
    format!("{text:?}")
}

/// A URL's scheme and host; what may hold a password or an API key is left out.
pub(super) fn shown_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return shown(text);
    };
    if !is_scheme(scheme) {
        return format!("a text of {} characters (not shown)", text.chars().count());
    }
    // An unescaped password may contain '/' or '?', so with an '@' anywhere no part of the rest is safe to show.
    let host = match rest.split(['/', '?', '#']).next() {
        Some(host) if !rest.contains('@') && !host.contains(char::is_whitespace) && host.len() <= LONGEST => host,
        _ => return format!("\"{scheme}://…\""),
    };
    let more = if rest.len() > host.len() + 1 { "/…" } else { "" };
    format!("{:?}", format!("{scheme}://{host}{more}"))
}

/// Whether it can be a URL's scheme (RFC 3986, section 3.1), and a short one.
pub(super) fn is_scheme(text: &str) -> bool {
    text.len() <= 20
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}
