//! The user part of a URL as the header that carries it, so that no library's error can quote it.
//!
//! What fails how: a user part that is not percent-encoded as a URL's must be is `Err`, without its content.

use hyper::header::HeaderValue;

/// The header for the user part of a URL (`user:password`, percent-encoded), as RFC 7617 has it.
pub(super) fn basic_authorization(user: &str) -> std::result::Result<HeaderValue, ()> {
    let plain = percent_decoded(user).ok_or(())?;
    let mut value = HeaderValue::from_str(&format!("Basic {}", base64(&plain))).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(value)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        plain.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    Some(plain)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, i| bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = ALPHABET.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
