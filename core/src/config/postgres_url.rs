//! `store: 'postgres://…'`, as users paste it from Neon, Supabase, RDS or Vercel. Opens nothing.
//!
//! What must hold: a password is never shown; a parameter that would change what the user gets is obeyed or refused by name, never
//! swallowed; and no password or wallet travels in the clear to another machine unless `sslmode=disable` says so. A certificate is
//! always verified, whatever the `sslmode`: `require` means less elsewhere, and less is no protection.

use super::host::authority;
use super::shown::is_hidden;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// PostgreSQL's own.
const DEFAULT_PORT: u16 = 5432;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresHost {
    /// A DNS name or an address without brackets.
    Tcp(String),
    /// The directory of the server's socket.
    Socket(PathBuf),
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not: a socket or this machine, or the user's explicit word.
    Off,
    /// Asked for inside PostgreSQL's protocol, and required.
    Asked,
    /// From the first byte on (`sslnegotiation=direct`, PostgreSQL 17 and newer): one round trip less.
    Direct,
}

/// Whether the login is bound to the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Or no login.
    Require,
}

/// A PostgreSQL database, and how to log in. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// The server.
    pub host: PostgresHost,
    /// Its port; of a socket, the number in the socket's name.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password, if there is one.
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// How the connection is protected.
    pub tls: PostgresTls,
    /// The PEM file of the authorities to trust instead of the public ones.
    pub root_cert: Option<PathBuf>,
    /// Whether the login is bound to the certificate.
    pub channel_binding: ChannelBinding,
    /// How long connecting may take; each store operation is bounded besides.
    pub connect_timeout: Option<Duration>,
    /// What `pg_stat_activity` calls the connection.
    pub application_name: String,
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl fmt::Display for PostgresUrl {
    /// What an error may show: host and port, neither user nor password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            PostgresHost::Tcp(host) => write!(f, "{host} port {}", self.port),
            PostgresHost::Socket(directory) => write!(f, "the socket {}/.s.PGSQL.{}", directory.display(), self.port),
        }
    }
}

/// What other clients of PostgreSQL take, and what makes no difference here.
const HARMLESS: [&str; 25] = [
    // Poolers: every statement here is fit for one.
    "pgbouncer",
    "prepare",
    "prepared_statements",
    "statement_cache_size",
    "statement_cache_capacity",
    "supa",
    "workaround",
    // Pools: a node has one connection.
    "connection_limit",
    "pool_timeout",
    "pool_size",
    "max_pool_size",
    "pool_max_conns",
    // Prisma's: our tables are in their own schema, and certificates are verified anyway.
    "schema",
    "sslaccept",
    "socket_timeout",
    "uselibpqcompat",
    // libpq's.
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "gssencmode",
    "sslsni",
    "sslcompression",
    "fallback_application_name",
];

type Parsed<T> = Result<T, String>;

/// Reads what stands behind `postgres://`; the error says what is wrong, without a value that may be secret.
pub(super) fn parse(rest: &str) -> Parsed<PostgresUrl> {
    if rest.contains(|c: char| c.is_whitespace() || is_hidden(c)) {
        return Err("contains whitespace or a character that can't be seen; remove it, or percent-encode it".to_owned());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (server, after) = rest.split_at(end);
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    if (!server.contains('@') && after.contains('@')) || rest.contains('#') {
        return Err(
            "has '/', '?' or '#' before the '@'; percent-encode it ('/' is %2F, '?' is %3F, '#' is %23)".to_owned()
        );
    }
    let mut parameters = parameters(query)?;
    let (login, place) = server.rsplit_once('@').unwrap_or(("", server));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let user = or_parameter(decoded(user, "user")?, parameters.remove("user"));
    let user = user.ok_or("names no user; write postgres://user:password@host/database")?;
    let password = password.map(|text| decoded(text, "password")).transpose()?.or(parameters.remove("password"));
    let (host, port) = host_and_port(place, &mut parameters)?;
    let database = or_parameter(decoded(path.trim_start_matches('/'), "database")?, parameters.remove("dbname"));
    let (tls, root_cert) = (tls(&host, &mut parameters)?, root_cert(&mut parameters));
    let binding = channel_binding(parameters.remove("channel_binding"), tls)?;
    let connect_timeout = connect_timeout(parameters.remove("connect_timeout"))?;
    let application_name = parameters.remove("application_name").unwrap_or_else(|| "mayfly".to_owned());
    refuse_the_rest(parameters)?;
    Ok(PostgresUrl {
        host,
        port,
        database: database.unwrap_or_else(|| user.clone()),
        user,
        password,
        tls,
        root_cert,
        channel_binding: binding,
        connect_timeout,
        application_name,
    })
}

fn or_parameter(text: String, parameter: Option<String>) -> Option<String> {
    Some(text).filter(|text| !text.is_empty()).or(parameter.filter(|text| !text.is_empty()))
}

fn parameters(query: &str) -> Parsed<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value, &format!("parameter {}", named(name)))?;
        if parameters.insert(name.to_owned(), value).is_some() {
            return Err(format!("has the parameter {} twice", named(name)));
        }
    }
    Ok(parameters)
}

/// A parameter's name, unless it looks like something else, such as the end of a password with a '?' in it.
fn named(name: &str) -> String {
    let plain = name.len() <= 32 && name.starts_with(|c: char| c.is_ascii_lowercase());
    if plain && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        format!("'{name}'")
    } else {
        "with a name that is none (not shown)".to_owned()
    }
}

fn decoded(text: &str, what: &str) -> Parsed<String> {
    let wrong =
        || format!("has a '%' in its {what} that is not followed by two hexadecimal digits; a percent sign is %25");
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(), digit());
        let byte = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(byte.ok_or_else(wrong)?);
    }
    // The protocol ends its texts with a zero.
    match String::from_utf8(plain) {
        Ok(plain) if !plain.contains('\0') => Ok(plain),
        _ => Err(format!("has a {what} that is no text once its percent escapes are decoded")),
    }
}

fn host_and_port(place: &str, parameters: &mut BTreeMap<String, String>) -> Parsed<(PostgresHost, u16)> {
    let (host, port) = (parameters.remove("host"), parameters.remove("port"));
    if place.contains(',') || host.as_ref().is_some_and(|host| host.contains(',')) {
        return Err("names several hosts; name one, the server that takes writes".to_owned());
    }
    let wrong = |what: &str| format!("has a wrong server: {what}");
    let at_port = |port: Option<String>| match port {
        None => Ok(DEFAULT_PORT),
        Some(port) => {
            authority(&format!("x:{port}")).ok().and_then(|read| read.port).ok_or("has a wrong 'port'".to_owned())
        }
    };
    if place.is_empty() {
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            return Err("names no host; write postgres://user:password@host/database, or …?host=/var/run/postgresql for a socket".to_owned());
        };
        if host.starts_with('/') {
            return Ok((PostgresHost::Socket(host.into()), at_port(port)?));
        }
        let bare = if host.contains(':') { format!("[{host}]") } else { host };
        let read = authority(&bare).map_err(wrong)?;
        return Ok((PostgresHost::Tcp(read.host.plain()), at_port(port)?));
    }
    if host.is_some() || (port.is_some() && authority(place).is_ok_and(|read| read.port.is_some())) {
        return Err("names its host or port twice, before the '?' and behind it".to_owned());
    }
    // %2Fvar%2Frun%2Fpostgresql, as libpq takes it.
    if place.starts_with('%') {
        let (directory, socket_port) = place.split_once(':').unwrap_or((place, ""));
        let directory = decoded(directory, "host")?;
        if directory.starts_with('/') {
            let port = Some(socket_port.to_owned()).filter(|port| !port.is_empty()).or(port);
            return Ok((PostgresHost::Socket(directory.into()), at_port(port)?));
        }
    }
    let read = authority(place).map_err(wrong)?;
    let port = match read.port {
        Some(port) => port,
        None => at_port(port)?,
    };
    Ok((PostgresHost::Tcp(read.host.plain()), port))
}

impl PostgresHost {
    /// Whether no other machine can listen on the way.
    fn is_here(&self) -> bool {
        match self {
            PostgresHost::Socket(_) => true,
            PostgresHost::Tcp(host) => {
                host == "localhost"
                    || host.ends_with(".localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

fn tls(host: &PostgresHost, parameters: &mut BTreeMap<String, String>) -> Parsed<PostgresTls> {
    let mode = parameters.remove("sslmode");
    let ssl = parameters.remove("ssl");
    let wanted = match (mode.as_deref(), ssl.as_deref()) {
        (Some("disable"), None) => false,
        (Some("require" | "verify-ca" | "verify-full"), None) | (None, Some("true" | "1" | "require")) => true,
        // "If it can be had": another machine must have it.
        (None | Some("prefer" | "allow"), None) => !host.is_here(),
        (Some("no-verify"), _) => {
            return Err(
                "has 'sslmode=no-verify', but the certificate is always verified; give the server's authority with \
                        sslrootcert=<PEM file> and sslmode=verify-full"
                    .to_owned(),
            );
        }
        (Some(_), Some(_)) => return Err("has both 'ssl' and 'sslmode'; keep sslmode".to_owned()),
        (Some(_), None) => {
            return Err("has an 'sslmode' that does not exist; disable, prefer, require, verify-ca and verify-full do"
                .to_owned());
        }
        (None, Some(_)) => {
            return Err("has 'ssl' with a value other than true; sslmode=disable switches TLS off".to_owned())
        }
    };
    let direct = match parameters.remove("sslnegotiation").as_deref() {
        None | Some("postgres") => false,
        Some("direct") if wanted => true,
        Some("direct") => return Err("has 'sslnegotiation=direct' without TLS; add sslmode=verify-full".to_owned()),
        Some(_) => return Err("has an 'sslnegotiation' that does not exist; postgres and direct do".to_owned()),
    };
    if wanted && matches!(host, PostgresHost::Socket(_)) {
        return Err("asks for TLS on a Unix socket, which has none; remove sslmode".to_owned());
    }
    Ok(match (wanted, direct) {
        (false, _) => PostgresTls::Off,
        (true, false) => PostgresTls::Asked,
        (true, true) => PostgresTls::Direct,
    })
}

fn root_cert(parameters: &mut BTreeMap<String, String>) -> Option<PathBuf> {
    // `system` is libpq's word for the public authorities.
    let file = parameters.remove("sslrootcert").filter(|file| !file.is_empty() && file != "system");
    file.map(PathBuf::from)
}

fn channel_binding(value: Option<String>, tls: PostgresTls) -> Parsed<ChannelBinding> {
    match value.as_deref() {
        None | Some("prefer") => Ok(ChannelBinding::Prefer),
        Some("disable") => Ok(ChannelBinding::Disable),
        Some("require") if tls == PostgresTls::Off => {
            Err("has 'channel_binding=require' without TLS, which can't be had; add sslmode=verify-full".to_owned())
        }
        Some("require") => Ok(ChannelBinding::Require),
        Some(_) => Err("has a 'channel_binding' that does not exist; disable, prefer and require do".to_owned()),
    }
}

/// In seconds, as libpq has it; 0 is "no bound of its own".
fn connect_timeout(value: Option<String>) -> Parsed<Option<Duration>> {
    let Some(value) = value else { return Ok(None) };
    let seconds: u32 = value.parse().map_err(|_| "has a 'connect_timeout' that is not a number of seconds")?;
    Ok(Some(Duration::from_secs(seconds.into())).filter(|timeout| !timeout.is_zero()))
}

fn refuse_the_rest(parameters: BTreeMap<String, String>) -> Parsed<()> {
    for (name, value) in parameters {
        let why = match name.as_str() {
            known if HARMLESS.contains(&known) => continue,
            "client_encoding" if value.eq_ignore_ascii_case("utf8") || value.eq_ignore_ascii_case("auto") => continue,
            "target_session_attrs" if matches!(value.as_str(), "any" | "read-write" | "primary") => continue,
            "options" => "which poolers refuse or ignore; set what it sets with ALTER ROLE",
            "sslcert" | "sslkey" | "sslpassword" => "but client certificates are not supported; use a password",
            _ => "which is not known here; remove it",
        };
        return Err(format!("has the parameter {}, {why}", named(&name)));
    }
    Ok(())
}
