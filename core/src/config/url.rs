//! `esploraUrl`: http or https, a host, perhaps a path. What we would not send (credentials, a query, a fragment) is refused
//! instead of dropped, so that nobody wonders why a server says 401.

use super::host::authority;
use super::shown::{is_hidden, shown_url, stray};
use crate::error::{Error, Result};

/// The URL without a trailing slash, ready to have `/blocks/tip/height` appended.
pub(super) fn esplora_url(text: &str) -> Result<String> {
    checked(text).map_err(|what| {
        let value = shown_url(text);
        Error::option(
            "esploraUrl",
            format!("esploraUrl is {value}: {what}; an example is 'https://blockstream.info/api'{}", stray(text)),
        )
    })
}

fn checked(text: &str) -> std::result::Result<String, &'static str> {
    if text.contains(|c: char| c.is_whitespace() || is_hidden(c)) {
        return Err("it contains whitespace or a character that can't be seen");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it must begin with https:// or http://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err("its scheme must be https or http");
    }
    if rest.contains(['?', '#']) {
        return Err("a query (?…) or fragment (#…) is not possible, paths are appended to it");
    }
    let (server, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if server.contains('@') {
        return Err("a user name or password in it would not be sent; use an endpoint that needs none");
    }
    let server = authority(server)?;
    let port = server.port.map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{scheme}://{}{port}{}", server.host.bracketed(), path.trim_end_matches('/'));
    // The client's own parser takes what is not in RFC 3986; else it has the last word, here rather than in the first request.
    if !path.is_ascii() || path.contains(['"', '`']) || url.parse::<hyper::Uri>().is_err() {
        return Err("its path has characters that a URL can't have");
    }
    Ok(url)
}
