//! `host`, `host:port`, `[ipv6]:port`: one reader for the LSP's address and Esplora's URL, so that both refuse the same.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host with the port that stood behind it.
pub(super) struct Authority {
    pub host: Host,
    pub port: Option<u16>,
}

/// Whom to reach.
pub(super) enum Host {
    V6(Ipv6Addr),
    /// An IPv4 address or a DNS name in lower case.
    Name(String),
}

impl Host {
    /// Without brackets, as resolvers and sockets take it.
    pub(super) fn plain(&self) -> String {
        match self {
            Host::V6(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// With an IPv6 address in brackets, as URLs write it.
    pub(super) fn bracketed(&self) -> String {
        match self {
            Host::V6(address) => format!("[{address}]"),
            Host::Name(name) => name.clone(),
        }
    }
}

type Parsed<T> = Result<T, &'static str>;

/// Reads `host` or `host:port`; the error says what is wrong, without the value.
pub(super) fn authority(text: &str) -> Parsed<Authority> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest
            .split_once(']')
            .ok_or("the bracket before the IPv6 address is never closed")?;
        let host = Host::V6(
            address
                .parse()
                .map_err(|_| "what is in brackets is not an IPv6 address")?,
        );
        let port = match after {
            "" => None,
            _ => Some(port(
                after
                    .strip_prefix(':')
                    .ok_or("only a colon and a port may follow the bracket")?,
            )?),
        };
        return Ok(Authority { host, port });
    }
    let (name, port) = match text.split_once(':') {
        Some((_, after)) if after.contains(':') => {
            return Err("it has several colons: an IPv6 address stands in brackets, as in [2001:db8::1]:9735");
        }
        Some((name, after)) => (name, Some(port(after)?)),
        None => (text, None),
    };
    Ok(Authority {
        host: Host::Name(host_name(name)?),
        port,
    })
}

fn port(text: &str) -> Parsed<u16> {
    const WRONG: &str = "the port must be a number from 1 to 65535";
    // `u16::from_str` would take a leading '+'.
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    text.parse().ok().filter(|port| *port != 0).ok_or(WRONG)
}

/// An IPv4 address or a DNS name. Underscores are allowed: container networks name services with them.
fn host_name(name: &str) -> Parsed<String> {
    if name.is_empty() {
        return Err("the host is missing");
    }
    if !name.is_ascii() {
        return Err("the host name has characters outside ASCII: write its punycode form (xn--…)");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("the host is neither an IP address nor a DNS name");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err("the host ends in a number but is not an IPv4 address");
    }
    if last.eq_ignore_ascii_case("onion") {
        return Err("Tor addresses can't be reached: give a clearnet address");
    }
    Ok(name.to_ascii_lowercase())
}
