//! How a wrong value is shown in an error. Environment variables get mixed up, so any option may hold the mnemonic, a
//! database URL with its password or a private key: a value is shown only when it can hardly be one of these.

/// Longer values are counted, not shown: 48 has room for every good short value (a host with its port, a scid) and none
/// for 64 hexadecimal characters or twelve words.
const LONGEST: usize = 48;

/// The value in quotes, or its length.
pub fn shown(text: &str) -> String {
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

/// Quotation marks as env files and word processors put them.
pub(super) const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// What stands around or in a text and does not belong there, for the end of a message: env files and copying leave it, and
/// nobody sees it. It is never repaired, so that what works here works with every other reader of the same variable.
pub fn stray(text: &str) -> &'static str {
    let inner = text.trim();
    if inner.starts_with(QUOTES) || inner.ends_with(QUOTES) {
        "; remove the quotation marks around it"
    } else if inner.len() != text.len() {
        "; remove the whitespace (a space or a line end) around it"
    } else if text.contains(is_hidden) {
        "; remove the invisible character in it"
    } else {
        ""
    }
}

/// Control characters, and what copying leaves: zero-width characters, direction marks, the byte order mark.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Whether it can be a URL's scheme (RFC 3986, section 3.1), and a short one.
pub(super) fn is_scheme(text: &str) -> bool {
    text.len() <= 20
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}
